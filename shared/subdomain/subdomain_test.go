package subdomain_test

import (
	"strings"
	"testing"

	"github.com/coditect/platform/shared/subdomain"
)

func TestFault(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		"acme": true, "a-b": true, "123": true, strings.Repeat("a", 63): true, "a--b": true,
		"": false, "ab": false, strings.Repeat("a", 64): false, "-ab": false, "ab-": false, "Acme": false,
		"a.b": false, "a_b": false, "www": false, "api": false, "admin": false, "app": false, "mail": false,
		"xn--bcher-kva": false, "añb": false, "a b": false,
	} {
		if got := subdomain.Fault(s); (got == "") != ok {
			t.Errorf("Fault(%q) = %q", s, got)
		}
	}
}

func FuzzDerive(f *testing.F) {
	for _, s := range []string{"Acme Inc.", "", "日本", "www", "xn--a", "-", strings.Repeat("x-", 80), "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := subdomain.Derive(s)
		if fault := subdomain.Fault(d); fault != "" {
			t.Errorf("Derive(%q) = %q: %s", s, d, fault)
		}
		if w := subdomain.WithSuffix(d); subdomain.Fault(w) != "" || w == d {
			t.Errorf("WithSuffix(%q) = %q: %s", d, w, subdomain.Fault(w))
		}
	})
}
