package doctor

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/local/tools"
)

func says(version string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return version, nil }
}

func TestReport(t *testing.T) {
	t.Parallel()
	absent := func(context.Context) (string, error) { return "", errors.New("not there") }
	var out bytes.Buffer
	bad := Report(&out, Run(t.Context(), []Check{
		{Name: "fine", Find: says("1.26.3"), Min: "1.26"},
		{Name: "old", Find: says("1.9"), Min: "1.26", Why: "everything", Get: "buy it", GetMac: "buy it"},
		{Name: "absent", Find: absent, Why: "tests", Get: "make it", GetMac: "make it"},
		{Name: "nice", Find: absent, Comfort: true, Why: "comfort", Get: "ask", GetMac: "ask"},
	}))
	if bad != 2 {
		t.Errorf("%d are missing", bad)
	}
	for _, want := range []string{"ok       fine", "1.9 is older than 1.26", "buy it", "MISSING  absent", "make it", "optional nice", "ask"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestOlder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want string
		older      bool
	}{
		{"1.26", "1.26", false}, {"1.26.3", "1.26", false}, {"1.9", "1.26", true}, {"2", "1.26", false},
		{"1", "1.26", true}, {"", "1", true}, {"15", "15", false}, {"14.9", "15", true},
	} {
		if got := older(c.have, c.want); got != c.older {
			t.Errorf("older(%q, %q) = %v", c.have, c.want, got)
		}
	}
}

func TestChecksFindWhatRunsThisTest(t *testing.T) {
	t.Parallel()
	nowhere := tools.Finder{Globs: []string{"/nonexistent"}, Path: "/nonexistent"}
	results := map[string]Result{}
	for _, r := range Run(t.Context(), Checks(nowhere)) {
		results[r.Name] = r
		if r.Why == "" || r.Get == "" {
			t.Errorf("%s does not say why or how", r.Name)
		}
	}
	if results["go"].Problem != "" {
		t.Errorf("go: %+v", results["go"])
	}
	for _, absent := range []string{"PostgreSQL", "PgBouncer"} {
		if results[absent].Problem == "" {
			t.Errorf("%s was found in a place that is not there", absent)
		}
	}
}
