// Command generate writes what follows from the functions' operations: the
// router's table of routes, the OpenAPI document, and from that the collection
// for Postman with its environment. It is run by `make
// generate`, and `make verify` fails when what it writes differs from what is
// committed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/functions/all/collection"
	"github.com/coditect/platform/shared/api"
)

// version is that of the HTTP contract, not of a release.
const version = "1.0.0"

func main() {
	root := flag.String("root", ".", "the repository's root")
	flag.Parse()
	if err := generate(*root); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(root string) error {
	functions := all.Functions()
	routes, err := json.MarshalIndent(api.Routes(functions...), "", "  ")
	if err != nil {
		return err
	}
	document, err := api.Document("Coditect Platform", version, functions...)
	if err != nil {
		return err
	}
	if document, err = compact(document); err != nil {
		return err
	}
	requests, environment, err := collection.Write(document)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		path    string
		content []byte
	}{
		{"router/routes.json", append(routes, '\n')},
		{"router/openapi.json", document},
		{"docs/postman_collection.json", requests},
		{"docs/postman_environment.json", environment},
	} {
		if err := os.WriteFile(filepath.Join(root, f.path), f.content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
