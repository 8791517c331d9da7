package staging

import "testing"

// A fingerprint changes with what is deployed, and with nothing else.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	root := repository(t)
	of := func() string {
		t.Helper()
		sum, err := Fingerprint(root, "functions/labels")
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	first := of()
	write(t, root, map[string]string{"functions/labels/more_test.go": "package labels\n", "functions/labels/testdata/more.json": "{}", "other/x.go": "package x\n"})
	if of() != first {
		t.Error("it changes with what is not deployed")
	}
	write(t, root, map[string]string{"shared/greet/words.txt": "hello!"})
	second := of()
	if second == first {
		t.Error("a change of a sibling does not show")
	}
	write(t, root, map[string]string{"functions/labels/empty.go": "package labels\n"})
	if of() == second {
		t.Error("a new file does not show")
	}
	if _, err := Fingerprint(root, "functions/none"); err == nil {
		t.Error("a function that there is not")
	}
}
