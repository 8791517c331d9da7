// Package pages writes the parts of documents that follow from something else: the
// tables of docs/COSTS.md from prices and assumptions, the diagram of the data in
// docs/ARCHITECTURE.md from the migrations.
//
// A document has such a part between two comments, <!-- made: NAME --> and
// <!-- end -->. To make one more, add it to makers.
package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Files are the documents with parts that are made.
var Files = []string{"docs/COSTS.md", "docs/ARCHITECTURE.md"}

var part = regexp.MustCompile(`(?s)<!-- made: (\w+) -->\n.*?<!-- end -->`)

// Make gives a document with its parts made anew.
func Make(root, name string) (have, want []byte, err error) {
	if have, err = os.ReadFile(filepath.Join(root, name)); err != nil {
		return nil, nil, err
	}
	erd, err := diagram(os.DirFS(filepath.Join(root, "migrations", "sql")))
	if err != nil {
		return nil, nil, err
	}
	makers := map[string]string{
		"costs": costTable(), "load": loadTable(), "wholes": wholeTable(), "prices": priceTable(), "open": openTable(), "sources": sourceTable(), "charts": chartTable(), "erd": erd,
	}
	want = part.ReplaceAllFunc(have, func(old []byte) []byte {
		key := string(part.FindSubmatch(old)[1])
		text, ok := makers[key]
		if !ok {
			err = fmt.Errorf("%s: nothing makes %q", name, key)
		}
		return fmt.Appendf(nil, "<!-- made: %s -->\n%s<!-- end -->", key, text)
	})
	return have, want, err
}
