// Command compatible fails when the OpenAPI document would break a client of
// the last release.
//
//	compatible            compare router/openapi.json with docs/openapi/released.json
//	compatible -release   and make it the released one
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coditect/platform/scripts/compatible"
	"github.com/coditect/platform/scripts/deployables"
)

func main() {
	release := flag.Bool("release", false, "make the present document the released one, if it breaks nothing")
	flag.Parse()
	if err := run(*release); err != nil {
		fmt.Fprintln(os.Stderr, "compatible:", err)
		os.Exit(1)
	}
}

func run(release bool) error {
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	at := filepath.Join(root, "docs/openapi/released.json")
	was, err := os.ReadFile(at)
	if err != nil {
		return err
	}
	is, err := os.ReadFile(filepath.Join(root, "router/openapi.json"))
	if err != nil {
		return err
	}
	found, err := compatible.Breaking(was, is)
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintln(os.Stderr, f)
	}
	switch {
	case len(found) > 0:
		return fmt.Errorf("%d changes would break a client of the released document (docs/openapi/README.md)", len(found))
	case release:
		return os.WriteFile(at, is, 0o644)
	}
	return nil
}
