package scaffold

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/houselint"
	"github.com/coditect/platform/scripts/linked"
	"github.com/coditect/platform/scripts/staging"
)

// copyRepository copies the repository as it stands, without what git ignores.
func copyRepository(t *testing.T) string {
	t.Helper()
	from, to := filepath.Join("..", ".."), t.TempDir()
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if rel == ".git" || rel == ".local" || rel == "dist" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		raw, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), raw, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestFunctionIsWhole holds a new function to what is demanded of the others:
// in agreement with the list, within the rules, tidy, built alone, green, staged.
func TestFunctionIsWhole(t *testing.T) {
	t.Parallel()
	root := copyRepository(t)
	made, err := Function(t.Context(), root, "labels")
	if err != nil {
		t.Fatal(err)
	}
	var goFiles []string
	for _, m := range made {
		if _, err := os.Stat(filepath.Join(root, m)); err != nil {
			t.Errorf("not there: %v", err)
		}
		if strings.HasPrefix(m, "functions/labels/") && strings.HasSuffix(m, ".go") {
			goFiles = append(goFiles, m)
		}
	}
	if len(goFiles) < 6 {
		t.Errorf("only %v were made", goFiles)
	}

	if faults, err := deployables.Check(root); err != nil || len(faults) > 0 {
		t.Errorf("the list disagrees with the tree: %v, %v", faults, err)
	}
	if found, err := houselint.Lint(root, goFiles...); err != nil || len(found) > 0 {
		t.Errorf("rules of the house: %v, %v", found, err)
	}
	routes, err := os.ReadFile(filepath.Join(root, "router", "routes.json"))
	if err != nil || !strings.Contains(string(routes), "/api/v1/labels/") {
		t.Errorf("the router does not know its route (%v)", err)
	}

	dir := filepath.Join(root, "functions", "labels")
	if added, removed, err := linked.Check(t.Context(), dir); err != nil || len(added)+len(removed) > 0 {
		t.Errorf("deps.txt: %v %v %v", added, removed, err)
	}
	for _, args := range [][]string{{"mod", "tidy", "-diff"}, {"build", "./..."}, {"vet", "./..."}, {"test", "./..."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}

	archive, err := staging.Stage(t.Context(), root, "functions/labels", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "server")
	if _, err := staging.Build(t.Context(), archive.File, binary); err != nil {
		t.Fatal(err)
	}
	if _, _, err := staging.Start(t.Context(), binary, "Labels"); err != nil {
		t.Error(err)
	}
}

func TestFunctionRefusesNames(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	for name, want := range map[string]string{
		"":                      "no name",
		"x":                     "no name",
		"Labels":                "no name",
		"my-labels":             "no name",
		"../labels":             "no name",
		"2labels":               "no name",
		strings.Repeat("x", 32): "no name",
		"func":                  "something else",
		"all":                   "something else",
		"projects":              "there already",
	} {
		if made, err := Function(t.Context(), root, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: made %v, error %v; want one that says %q", name, made, err, want)
		}
	}
	if _, err := Function(t.Context(), t.TempDir(), "labels"); err == nil {
		t.Error("made a function where there is no repository")
	}
}

// TestFunctionSaysWhatIsMissing breaks the surroundings one after the other.
func TestFunctionSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	const list = `{"functions": [
    {"name": "tasks", "folder": "functions/tasks", "entry": "Tasks", "kind": "http", "auth": "AUTH",
     "resources": {"cpu": "1", "memory": "256Mi", "concurrency": 80, "min": 0, "max": 50, "timeout": "30s"},
     "secrets": [], "invokers": ["router"], "database": "app"}
  ]
}
`
	schema, err := os.ReadFile(filepath.Join("..", "..", deployables.SchemaFile))
	if err != nil {
		t.Fatal(err)
	}
	whole := map[string]string{
		deployables.SchemaFile:   string(schema),
		deployables.ListFile:     strings.Replace(list, "AUTH", "token", 1),
		"go.work":                "go 1.26.0\n",
		"functions/tasks/go.mod": "module example.com/tasks\n\ngo 1.26\n",
		"functions/tasks/go.sum": "",
		"functions/all/go.mod":   "module example.com/all\n\ngo 1.26\n",
		"scripts/go.mod":         "module example.com/scripts\n\ngo 1.26\n",
		"tests/go.mod":           "module example.com/tests\n\ngo 1.26\n",
	}
	for name, tt := range map[string]struct{ file, text, want string }{
		"no model":        {deployables.ListFile, strings.Replace(list, "AUTH", "none", 1), "no function to take"},
		"no module":       {"functions/tasks/go.mod", "", "go.mod"},
		"a broken module": {"functions/tasks/go.mod", "modul", "go.mod"},
		"no sums":         {"functions/tasks/go.sum", "", "go.sum"},
		"another layout":  {deployables.ListFile, strings.NewReplacer("AUTH", "token", `{"name"`, `{ "name"`).Replace(list), "by hand"},
		"no workspace":    {"go.work", "", "go.work"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for file, text := range whole {
				if file == tt.file {
					if text = tt.text; text == "" {
						continue
					}
				}
				target := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(target, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Function(t.Context(), root, "labels"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}
