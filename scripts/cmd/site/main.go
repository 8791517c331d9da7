// Command site renders the documents as a site of static pages:
//
//	site [-out dist/site]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/site"
)

func main() {
	out := flag.String("out", "dist/site", "the folder that gets the pages, from the repository's root")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	// What was a page and is none any more would stay.
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := site.Build(root, out); err != nil {
		return err
	}
	fmt.Println(filepath.Join(out, "index.html"))
	return nil
}
