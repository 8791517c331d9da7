// Package compatible holds the OpenAPI document of today against that of the
// last release (docs/openapi/released.json) and says what a client of that
// release would run into. Within v1 only additions are made.
//
// The comparison is oasdiff's. What it only warns of counts too: an answer that
// lost an optional member has lost it. A value more in an answer does not, as
// clients are told to expect that.
package compatible

import (
	"fmt"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"
)

// allowed are the changes that oasdiff warns of, and that are additions here.
var allowed = map[string]bool{
	checker.ResponsePropertyEnumValueAddedId:          true,
	checker.ResponseWriteOnlyPropertyEnumValueAddedId: true,
	checker.ResponseMediaTypeEnumValueAddedId:         true,
}

// Breaking lists what would break a client of the released document.
func Breaking(released, present []byte) ([]string, error) {
	was, err := read(released, "released")
	if err != nil {
		return nil, err
	}
	is, err := read(present, "present")
	if err != nil {
		return nil, err
	}
	changes, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), was, is)
	if err != nil {
		return nil, fmt.Errorf("compare the documents: %w", err)
	}
	words := checker.NewDefaultLocalizer()
	var out []string
	for _, c := range checker.CheckBackwardCompatibilityUntilLevel(checker.NewConfig(checker.GetAllChecks()), changes, sources, checker.WARN) {
		if !allowed[c.GetId()] {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s: %s (%s)", c.GetOperation(), c.GetPath(), c.GetUncolorizedText(words), c.GetId())))
		}
	}
	return out, nil
}

func read(text []byte, name string) (*load.SpecInfo, error) {
	spec, err := load.NewSpecInfoFromData(openapi3.NewLoader(), text, name+".json")
	if err != nil {
		return nil, fmt.Errorf("read the %s document: %w", name, err)
	}
	if spec.Spec.Paths.Len() == 0 {
		return nil, fmt.Errorf("the %s document has no paths", name)
	}
	return spec, nil
}
