package staging

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const frameworkModule = "github.com/GoogleCloudPlatform/functions-framework-go"

// repository is a function in a tree of its own, with a framework small enough
// to be part of it, so that these tests need no network and no module cache.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{
		"framework/go.mod": "module " + frameworkModule + "\n\ngo 1.26\n",
		"framework/functions/functions.go": `package functions

import "net/http"

var Registered = map[string]http.HandlerFunc{}

func HTTP(name string, h http.HandlerFunc) { Registered[name] = h }
`,
		"framework/funcframework/start.go": `package funcframework

import (
	"net/http"
	"os"

	"` + frameworkModule + `/functions"
)

func Start(port string) error {
	return http.ListenAndServe(":"+port, functions.Registered[os.Getenv("FUNCTION_TARGET")])
}
`,
		"testkit/go.mod":     "module example.com/testkit\n\ngo 1.26\n",
		"testkit/testkit.go": "package testkit\n\nfunc Help() {}\n",
		"shared/go.mod":      "module example.com/shared\n\ngo 1.26\n\nrequire example.com/testkit v0.0.0\n",
		"shared/greet/greet.go": `package greet

import _ "embed"

//go:embed words.txt
var Words string
`,
		"shared/greet/words.txt":     "hello",
		"shared/greet/greet_test.go": "package greet\n\nimport _ \"example.com/testkit\"\n",
		"functions/labels/go.mod": `module example.com/functions/labels

go 1.26

require (
	` + frameworkModule + ` v0.0.0
	example.com/shared v0.0.0
	example.com/testkit v0.0.0
)

replace (
	` + frameworkModule + ` => ../../framework
	example.com/shared => ../../shared
	example.com/testkit => ../../testkit
)
`,
		"functions/labels/function.go": `package labels

import (
	"fmt"
	"net/http"

	_ "` + frameworkModule + `/funcframework"
	"` + frameworkModule + `/functions"

	"example.com/shared/greet"
)

func init() { functions.HTTP("Labels", serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, greet.Words)
}
`,
		"functions/labels/function_test.go":     "package labels\n\nimport _ \"example.com/testkit\"\n",
		"functions/labels/testdata/golden.json": "{}",
		"functions/labels/deps.txt":             "example.com/shared/greet\n",
		"functions/labels/.hidden":              "x",
		"functions/labels/cmd/main.go":          "package main\n\nfunc main() {}\n",
	})
	return root
}

func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func stage(t *testing.T, root string) Archive {
	t.Helper()
	a, err := Stage(t.Context(), root, "functions/labels", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestStageTakesSourcesAndWhatTheyImport(t *testing.T) {
	t.Parallel()
	a := stage(t, repository(t))
	r, err := zip.OpenReader(a.File)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
		if !f.Modified.Equal(epoch) || f.Mode() != 0o644 {
			t.Errorf("%s has time %s and mode %s", f.Name, f.Modified, f.Mode())
		}
	}
	want := []string{
		"function.go", "go.mod",
		"vendor/example.com/shared/greet/greet.go", "vendor/example.com/shared/greet/words.txt",
		"vendor/" + frameworkModule + "/funcframework/start.go", "vendor/" + frameworkModule + "/functions/functions.go",
		"vendor/modules.txt",
	}
	if !slices.Equal(names, want) {
		t.Errorf("the archive holds\n%s\nwant\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
	for _, n := range names {
		if _, err := os.Stat(filepath.Join(a.Dir, n)); err != nil {
			t.Error(err)
		}
	}
}

func TestStageIsReproducible(t *testing.T) {
	t.Parallel()
	root := repository(t)
	first := stage(t, root)
	// Another clock and other modes on the same sources.
	file := filepath.Join(root, "functions/labels/function.go")
	if err := os.Chtimes(file, time.Time{}, time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if again := stage(t, root); again.SHA256 != first.SHA256 || again.Size != first.Size {
		t.Errorf("the same sources gave %s and %s", first.SHA256, again.SHA256)
	}
	write(t, root, map[string]string{"shared/greet/words.txt": "goodbye"})
	if changed := stage(t, root); changed.SHA256 == first.SHA256 {
		t.Error("a change in what is vendored does not show")
	}
}

func TestStageReplacesWhatWasThere(t *testing.T) {
	t.Parallel()
	root, out := repository(t), t.TempDir()
	write(t, out, map[string]string{"labels/old.go": "package labels\n"})
	if _, err := Stage(t.Context(), root, "functions/labels", out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(out, "labels", "old.go")); err == nil {
		t.Error("a file of an earlier staging is still there")
	}
}

func TestStageRefuses(t *testing.T) {
	t.Parallel()
	const mod = "functions/labels/go.mod"
	for name, tt := range map[string]struct {
		change func(t *testing.T, root string)
		want   string
	}{
		"no framework": {func(t *testing.T, root string) {
			t.Helper()
			replace(t, root, "functions/labels/function.go", "\t_ \""+frameworkModule+"/funcframework\"\n", "")
		}, "funcframework is not vendored"},
		"replaced from elsewhere": {func(t *testing.T, root string) {
			t.Helper()
			replace(t, root, mod, "=> ../../testkit", "=> example.com/fork v1.0.0")
		}, "not of this repository"},
		"replaced from outside": {func(t *testing.T, root string) {
			t.Helper()
			replace(t, root, mod, "=> ../../testkit", "=> ../../../testkit")
		}, "outside the repository"},
		"no module": {func(t *testing.T, root string) {
			t.Helper()
			if err := os.Remove(filepath.Join(root, mod)); err != nil {
				t.Fatal(err)
			}
		}, "go.mod"},
		"broken module": {func(t *testing.T, root string) { t.Helper(); write(t, root, map[string]string{mod: "modul"}) }, "go.mod"},
		"does not resolve": {func(t *testing.T, root string) {
			t.Helper()
			replace(t, root, "functions/labels/function.go", "shared/greet", "shared/absent")
		}, "go mod vendor"},
		"a link": {func(t *testing.T, root string) {
			t.Helper()
			if err := os.Symlink("/etc/hostname", filepath.Join(root, "functions/labels/link.txt")); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := repository(t)
			tt.change(t, root)
			if _, err := Stage(t.Context(), root, "functions/labels", t.TempDir()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func replace(t *testing.T, root, name, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), from) {
		t.Fatalf("%s does not contain %q", name, from)
	}
	write(t, root, map[string]string{name: strings.ReplaceAll(string(raw), from, to)})
}

func TestBuildAndStart(t *testing.T) {
	t.Parallel()
	a := stage(t, repository(t))
	binary := filepath.Join(t.TempDir(), "server")
	size, err := Build(t.Context(), a.File, binary)
	if err != nil || size == 0 {
		t.Fatalf("built %d bytes, %v", size, err)
	}
	status, took, err := Start(t.Context(), binary, "Labels")
	if err != nil || status != 404 || took <= 0 {
		t.Errorf("answered %d after %s: %v", status, took, err)
	}
}

func TestStartTellsOtherAnswersFromOurs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ from, to, want string }{
		"plain text":     {"application/problem+json", "text/plain", "not a problem"},
		"another status": {"http.StatusNotFound", "http.StatusInternalServerError", "answered 500"},
		"ends at once":   {`func init() { functions.HTTP("Labels", serve) }`, `func init() { panic("no secret") }` + "\n\nvar _ = serve\n\nvar _ = functions.HTTP", "no secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := repository(t)
			replace(t, root, "functions/labels/function.go", tt.from, tt.to)
			a := stage(t, root)
			binary := filepath.Join(t.TempDir(), "server")
			if _, err := Build(t.Context(), a.File, binary); err != nil {
				t.Fatal(err)
			}
			if _, _, err := Start(t.Context(), binary, "Labels"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func TestBuildRefusesWhatTheBuildpackRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
	}{
		"no go.mod":    {map[string]string{"function.go": "package labels\n"}, "no go.mod"},
		"no dot":       {map[string]string{"go.mod": "module labels\n"}, "needs a dot"},
		"not vendored": {map[string]string{"go.mod": "module example.com/labels\n"}, "do not include funcframework"},
		"no registration": {map[string]string{
			"go.mod": "module example.com/labels\n", "function.go": "package labels\n", "vendor/" + framework + "/start.go": "package funcframework\n",
		}, "does not import"},
		"does not compile": {map[string]string{
			"go.mod": "module example.com/labels\n\ngo 1.26\n", "vendor/" + framework + "/start.go": "package funcframework\n",
			"function.go": "package labels\n\nimport _ \"" + frameworkModule + "/functions\"\n",
		}, "go build"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, tt.files)
			file := filepath.Join(t.TempDir(), "labels.zip")
			if _, _, err := pack(dir, file); err != nil {
				t.Fatal(err)
			}
			if _, err := Build(t.Context(), file, filepath.Join(t.TempDir(), "server")); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "evil.zip")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(out)
	if _, err := w.Create("../evil.go"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unpack(file, t.TempDir()); err == nil {
		t.Error("a file outside the folder was written")
	}
	if err := unpack(filepath.Join(t.TempDir(), "absent.zip"), t.TempDir()); err == nil {
		t.Error("an absent archive was unpacked")
	}
}

// TestDeliveryBuildsTheSame holds the flags of the pipeline against those that
// the programs of the tests and of the benchmark are built with.
func TestDeliveryBuildsTheSame(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../delivery/function-image.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range []string{`--env "GOOGLE_GOLDFLAGS=` + LinkerFlags + `"`, "--env GOFLAGS=-tags=" + Tags + " "} {
		if !strings.Contains(string(script), flag) {
			t.Errorf("the pipeline does not build with %s", flag)
		}
	}
}
