package ids

import (
	"bytes"
	"testing"
)

func TestNew(t *testing.T) {
	t.Parallel()
	last := Nil
	for range 1000 {
		id := New()
		if id.Version() != 7 || bytes.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("%s after %s", id, last)
		}
		last = id
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const canonical = "0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f"
	if id, err := Parse(canonical); err != nil || id.String() != canonical || Must(canonical) != id {
		t.Errorf("%s %v", id, err)
	}
	for _, bad := range []string{
		"", "x", "0192f0c17b7e7cc398c4dc0c0c07398f", "{0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f}", "urn:uuid:" + canonical,
		"0192f0c1-7b7e-7cc3-98c4-dc0c0c07398g", "0192f0c1-7b7e-7cc3-98c4dc-0c0c07398f", canonical + " ",
	} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("took %q", bad)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("Must took x")
		}
	}()
	Must("x")
}

func FuzzParse(f *testing.F) {
	f.Add("0192f0c1-7b7e-7cc3-98c4-dc0c0c07398f")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := Parse(s); err == nil && !bytes.EqualFold([]byte(id.String()), []byte(s)) {
			t.Fatalf("%q is %s", s, id)
		}
	})
}
