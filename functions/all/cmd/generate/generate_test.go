package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/shared/identity"
)

// TestGenerate writes both files, reads the document as a client's tool would,
// and finds every public operation in it with an example and its permission.
func TestGenerate(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"router", "docs"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := generate(root); err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(root, "router", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	routes, err := os.ReadFile(filepath.Join(root, "router", "routes.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all.Functions() {
		for _, op := range f.Operations {
			if !strings.Contains(string(routes), `"`+op.ID+`"`) {
				t.Errorf("%s is not in the table of routes", op.ID)
			}
			item := doc.Paths.Value(op.Path)
			if op.Permission == identity.Internal {
				if item != nil {
					t.Errorf("%s is internal and documented", op.ID)
				}
				continue
			}
			if item == nil || item.GetOperation(op.Method) == nil {
				t.Errorf("%s is not documented", op.ID)
				continue
			}
			o := item.GetOperation(op.Method)
			if o.OperationID != op.ID || o.Responses.Len() < 3 {
				t.Errorf("%s is documented as %s with %d responses", op.ID, o.OperationID, o.Responses.Len())
			}
			if op.RequestExample != nil {
				for media, m := range o.RequestBody.Value.Content {
					if m.Example == nil {
						t.Errorf("%s has no example of a %s body", op.ID, media)
					}
				}
			}
		}
	}
	if doc.Components.Responses["Problem404"] == nil || doc.Components.Examples["not_found"] == nil {
		t.Error("what operations share is not shared")
	}
}

func TestGenerateFailsWhereItCannotWrite(t *testing.T) {
	t.Parallel()
	if err := generate(t.TempDir()); err == nil {
		t.Error("a missing folder was no error")
	}
}
