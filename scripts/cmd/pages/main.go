// Command pages brings the parts of documents up to date that are made from
// something else (scripts/pages).
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/pages"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "pages:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	for _, name := range pages.Files {
		have, want, err := pages.Make(root, name)
		if err != nil {
			return err
		}
		if bytes.Equal(have, want) {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, name), want, 0o644); err != nil {
			return err
		}
		fmt.Println("wrote", name)
	}
	return nil
}
