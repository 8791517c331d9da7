package staging

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLambda builds a small function from two places and looks at what AWS
// would start.
func TestLambda(t *testing.T) {
	t.Parallel()
	sums := map[string]string{}
	for range 2 {
		root, out := t.TempDir(), t.TempDir()
		files := map[string]string{
			"functions/hello/go.mod":      "module example.com/hello\n\ngo 1.26\n",
			"functions/hello/cmd/main.go": "package main\n\nfunc main() { print(\"hello\") }\n",
			"functions/broken/go.mod":     "module example.com/broken\n\ngo 1.26\n",
		}
		for name, text := range files {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for arch, machine := range map[string]elf.Machine{"arm64": elf.EM_AARCH64, "amd64": elf.EM_X86_64} {
			a, err := Lambda(t.Context(), root, "functions/hello", arch, out)
			if err != nil {
				t.Fatal(err)
			}
			if before, ok := sums[arch]; ok && before != a.SHA256 {
				t.Errorf("%s: built twice, the archive differs", arch)
			}
			sums[arch] = a.SHA256
			check(t, a, machine, root)
		}
		if _, err := Lambda(t.Context(), root, "functions/hello", "mips", out); err == nil {
			t.Error("packed for mips")
		}
		if _, err := Lambda(t.Context(), root, "functions/broken", "amd64", out); err == nil || !strings.Contains(err.Error(), "functions/broken") {
			t.Errorf("a function that does not build: %v", err)
		}
	}
}

func check(t *testing.T, a Archive, machine elf.Machine, root string) {
	t.Helper()
	z, err := zip.OpenReader(a.File)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != 1 || z.File[0].Name != "bootstrap" || z.File[0].Mode().Perm() != 0o755 || !z.File[0].Modified.Equal(epoch) {
		t.Fatalf("%s holds %+v", a.File, z.File)
	}
	in, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	program, err := elf.NewFile(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, _ := program.ImportedLibraries(); program.Machine != machine || len(libraries) > 0 || program.Section(".symtab") != nil {
		t.Errorf("%s is for %v, links %v", a.File, program.Machine, libraries)
	}
	if bytes.Contains(raw, []byte(root)) {
		t.Errorf("%s knows where it was built", a.File)
	}
	if info, err := os.Stat(a.File); err != nil || info.Size() != a.Size {
		t.Errorf("size %d, %v", a.Size, err)
	}
}
