package deployables

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/coditect/platform/scripts/local/cron"
)

// An artifact is a file that follows from the list, alone or together with what
// it held before.
type artifact struct {
	path    string
	content func(root string, list []Function) ([]byte, error)
}

var artifacts = []artifact{
	{path: Aggregate + "/all_gen.go", content: aggregate},
	{path: Aggregate + "/go.mod", content: aggregateModule},
	{path: "shared/queue/consumers_gen.go", content: consumers},
	{path: "shared/schedule/plans_gen.go", content: plans},
	{path: "tests/go.mod", content: importer("tests")},
	{path: "scripts/go.mod", content: importer("scripts")},
	{path: "go.work", content: workspace},
	{path: "cloudbuild.yaml", content: cloudBuild},
	{path: "aws/template.yaml", content: sam},
	{path: "docker-compose.yaml", content: compose},
}

// Generate writes every artifact and returns the paths of those that changed.
func Generate(root string) ([]string, error) {
	list, err := Load(root)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, a := range artifacts {
		want, err := a.content(root, list)
		if err != nil {
			return changed, err
		}
		file := filepath.Join(root, a.path)
		if got, err := os.ReadFile(file); err == nil && bytes.Equal(got, want) {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return changed, err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return changed, err
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			return changed, err
		}
		changed = append(changed, a.path)
	}
	return changed, nil
}

var (
	//go:embed all_gen.go.tmpl
	aggregateText string
	//go:embed cloudbuild.yaml.tmpl
	cloudBuildText string
	//go:embed compose.yaml.tmpl
	composeText string
	//go:embed consumers_gen.go.tmpl
	consumersText string
	//go:embed plans_gen.go.tmpl
	plansText string

	templates = template.Must(template.New("all_gen.go").Funcs(template.FuncMap{"duration": duration, "longestGap": longestGap, "words": strings.Fields}).Parse(aggregateText))
	_         = template.Must(templates.New("cloudbuild.yaml").Parse(cloudBuildText))
	_         = template.Must(templates.New("consumers_gen.go").Parse(consumersText))
	_         = template.Must(templates.New("plans_gen.go").Parse(plansText))
	_         = template.Must(templates.New("compose.yaml").Parse(composeText))
	_         = template.Must(templates.New("sam.yaml").Funcs(samFuncs).Parse(samText))
)

func execute(name string, list []Function) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, list); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// aggregate is the table through which functions/all reaches every function.
func aggregate(_ string, list []Function) ([]byte, error) {
	b, err := execute("all_gen.go", list)
	if err != nil {
		return nil, err
	}
	return format.Source(b)
}

// consumers is the table of shared/queue: who gets messages, and how often they
// are tried.
func consumers(_ string, list []Function) ([]byte, error) {
	b, err := execute("consumers_gen.go", slices.DeleteFunc(slices.Clone(list), func(f Function) bool {
		return f.Kind != KindTask && f.Kind != KindPubSub
	}))
	if err != nil {
		return nil, err
	}
	return format.Source(b)
}

// plans is the table of shared/schedule: when schedules run, and how late they
// may be.
func plans(_ string, list []Function) ([]byte, error) {
	b, err := execute("plans_gen.go", slices.DeleteFunc(slices.Clone(list), func(f Function) bool { return f.Kind != KindSchedule }))
	if err != nil {
		return nil, err
	}
	return format.Source(b)
}

// longestGap is the Go expression of the longest time between two runs. It is
// counted from a fixed day, so that the same list always gives the same file.
func longestGap(f Function) (string, error) {
	s, err := cron.Parse(f.Cron, f.Timezone)
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.Name, err)
	}
	return fmt.Sprintf("%d * time.Minute", int(s.LongestGap(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Minutes())), nil
}

// duration is the Go expression of one in the list's form: 90s, 5m, 24h.
func duration(text string) string {
	n := len(text) - 1
	return text[:n] + " * time." + map[byte]string{'s': "Second", 'm': "Minute", 'h': "Hour"}[text[n]]
}

func cloudBuild(_ string, list []Function) ([]byte, error) { return execute("cloudbuild.yaml", list) }

// compose has the functions that serve clients: the others are called by queues and
// clocks that Docker does not have.
func compose(_ string, list []Function) ([]byte, error) {
	return execute("compose.yaml", slices.DeleteFunc(slices.Clone(list), func(f Function) bool { return f.Kind != KindHTTP }))
}

// aggregateModule requires every function in functions/all/go.mod, each from its
// folder, and leaves the rest of the file alone.
func aggregateModule(root string, list []Function) ([]byte, error) {
	mod, err := readModule(root, Aggregate)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, f := range list {
		wanted[f.ImportPath()] = true
		if err := mod.AddRequire(f.ImportPath(), "v0.0.0"); err != nil {
			return nil, err
		}
	}
	for _, r := range slices.Clone(mod.Require) {
		if isFunction(r.Mod.Path) && !wanted[r.Mod.Path] {
			if err := mod.DropRequire(r.Mod.Path); err != nil {
				return nil, err
			}
		}
	}
	return withReplacements(mod, Aggregate, list)
}

// importer is the go.mod of a module that imports functions/all: replace lines
// count in the main module only, so it repeats those of every function.
func importer(folder string) func(string, []Function) ([]byte, error) {
	return func(root string, list []Function) ([]byte, error) {
		mod, err := readModule(root, folder)
		if err != nil {
			return nil, err
		}
		return withReplacements(mod, folder, append(slices.Clone(list), Function{Folder: Aggregate}))
	}
}

func readModule(root, folder string) (*modfile.File, error) {
	name := folder + "/go.mod"
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, raw, nil)
}

// withReplacements points every function of the list at its folder, in one block
// at the end of the file together with the replacements that were there.
func withReplacements(mod *modfile.File, folder string, list []Function) ([]byte, error) {
	folders := map[string]string{}
	for _, r := range mod.Replace {
		if !isFunction(r.Old.Path) {
			folders[r.Old.Path] = r.New.Path
		}
	}
	for _, f := range list {
		folders[f.ImportPath()] = up(folder) + f.Folder
	}
	mod.Cleanup()
	mod.Syntax.Stmt = slices.DeleteFunc(mod.Syntax.Stmt, func(e modfile.Expr) bool {
		switch s := e.(type) {
		case *modfile.Line:
			return s.Token[0] == "replace"
		case *modfile.LineBlock:
			return s.Token[0] == "replace"
		}
		return false
	})
	block := &modfile.LineBlock{Token: []string{"replace"}}
	for _, module := range slices.Sorted(maps.Keys(folders)) {
		block.Line = append(block.Line, &modfile.Line{Token: []string{module, "=>", folders[module]}, InBlock: true})
	}
	mod.Syntax.Stmt = append(mod.Syntax.Stmt, block)
	return modfile.Format(mod.Syntax), nil
}

func isFunction(module string) bool {
	return strings.HasPrefix(module, Module+"/functions/") || strings.HasPrefix(module, Module+"/schedulers/")
}

// up is the way from a folder to the root.
func up(folder string) string { return strings.Repeat("../", strings.Count(folder, "/")+1) }

// workspace gives go.work a line for every function and drops those of functions
// that are gone. Other modules are not the list's to decide.
func workspace(root string, list []Function) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", raw, nil)
	if err != nil {
		return nil, err
	}
	uses := map[string]bool{"./" + Aggregate: true}
	for _, f := range list {
		uses["./"+f.Folder] = true
	}
	for _, u := range work.Use {
		if strings.HasPrefix(u.Path, "./functions/") || strings.HasPrefix(u.Path, "./schedulers/") {
			continue
		}
		uses[u.Path] = true
	}
	var b strings.Builder
	if work.Go == nil {
		return nil, errors.New("go.work names no version of Go")
	}
	fmt.Fprintf(&b, "go %s\n\n", work.Go.Version)
	if work.Toolchain != nil {
		fmt.Fprintf(&b, "toolchain %s\n\n", work.Toolchain.Name)
	}
	b.WriteString("use (\n")
	for _, u := range slices.Sorted(maps.Keys(uses)) {
		fmt.Fprintf(&b, "\t%s\n", u)
	}
	b.WriteString(")\n")
	return []byte(b.String()), nil
}
