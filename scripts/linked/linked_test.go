package linked

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is a function of two packages, one of which only its test imports.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"go.mod":           "module example.com/labels\n\ngo 1.26\n",
		"function.go":      "package labels\n\nimport _ \"example.com/labels/store\"\n",
		"function_test.go": "package labels\n\nimport _ \"example.com/labels/help\"\n",
		"store/store.go":   "package store\n\nimport _ \"net/http\"\n",
		"help/help.go":     "package help\n",
	}
	maps.Copy(all, files)
	for name, text := range all {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestWriteThenCheck(t *testing.T) {
	t.Parallel()
	dir := module(t, nil)
	added, _, err := Check(t.Context(), dir)
	if err != nil || !slices.Equal(added, []string{"example.com/labels", "example.com/labels/store"}) {
		t.Errorf("without a list: added %v, %v", added, err)
	}
	if changed, err := Write(t.Context(), dir); err != nil || !changed {
		t.Fatalf("changed %v, %v", changed, err)
	}
	if changed, err := Write(t.Context(), dir); err != nil || changed {
		t.Errorf("the second time: changed %v, %v", changed, err)
	}
	if added, removed, err := Check(t.Context(), dir); err != nil || len(added)+len(removed) > 0 {
		t.Errorf("after writing: %v, %v, %v", added, removed, err)
	}

	file := filepath.Join(dir, File)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stale := strings.Replace(string(raw), "example.com/labels/store", "example.com/gone", 1)
	if err := os.WriteFile(file, []byte(stale), 0o644); err != nil {
		t.Fatal(err)
	}
	added, removed, err := Check(t.Context(), dir)
	if err != nil || !slices.Equal(added, []string{"example.com/labels/store"}) || !slices.Equal(removed, []string{"example.com/gone"}) {
		t.Errorf("stale: added %v, removed %v, %v", added, removed, err)
	}
}

func TestFloors(t *testing.T) {
	t.Parallel()
	old := map[string]string{
		"reflect2/go.mod": "module github.com/modern-go/reflect2\n\ngo 1.26\n",
		"go.mod": "module example.com/labels\n\ngo 1.26\n\nrequire github.com/modern-go/reflect2 v1.0.1\n\n" +
			"replace github.com/modern-go/reflect2 => ./reflect2\n",
	}
	faults, err := Floors(t.Context(), module(t, old))
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0], "go get github.com/modern-go/reflect2@v1.0.2") {
		t.Errorf("v1.0.1: %v, %v", faults, err)
	}
	old["go.mod"] = strings.Replace(old["go.mod"], "v1.0.1", "v1.0.2", 1)
	if faults, err := Floors(t.Context(), module(t, old)); err != nil || len(faults) > 0 {
		t.Errorf("v1.0.2: %v, %v", faults, err)
	}
	if faults, err := Floors(t.Context(), module(t, nil)); err != nil || len(faults) > 0 {
		t.Errorf("without: %v, %v", faults, err)
	}
}

func TestWhatCannotBeListedIsAnError(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{"go.mod": "modul\n"})
	if _, _, err := Check(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "go list") {
		t.Errorf("Check: %v", err)
	}
	if _, err := Write(t.Context(), dir); err == nil {
		t.Error("Write passed")
	}
	if _, err := Floors(t.Context(), dir); err == nil {
		t.Error("Floors passed")
	}
}
