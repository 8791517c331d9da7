package deployables

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is a repository of two functions, in agreement with its list.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	schema, err := os.ReadFile(filepath.Join("..", "..", SchemaFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, SchemaFile, string(schema))
	write(t, root, "go.work", "go 1.26.0\n\nuse ./shared\n")
	write(t, root, "functions/all/go.mod", "module "+Module+"/functions/all\n\ngo 1.26\n\nrequire "+Module+"/functions/gone v0.0.0\n\nreplace "+Module+"/functions/gone => ../gone\n")
	for _, name := range []string{"tests", "scripts"} {
		write(t, root, name+"/go.mod", "module "+Module+"/"+name+"\n\ngo 1.26\n\nreplace "+Module+"/shared => ../shared\n")
	}
	for name, kind := range map[string]string{"labels": KindHTTP, "mailer": KindTask} {
		write(t, root, "functions/"+name+"/go.mod", "module "+Module+"/functions/"+name+"\n\ngo 1.26\n")
		write(t, root, "functions/"+name+"/cmd/main.go", "package main\n")
		src := "package " + name + `
import (
	_ "github.com/GoogleCloudPlatform/functions-framework-go/funcframework"
	"github.com/GoogleCloudPlatform/functions-framework-go/functions"
)
func init() { functions.HTTP("` + strings.ToUpper(name[:1]) + name[1:] + `", nil) }
func Open() {}
`
		if kind == KindHTTP {
			src += "func Function() {}\n"
		}
		write(t, root, "functions/"+name+"/function.go", src)
	}
	writeList(t, root, entries())
	if _, err := Generate(root); err != nil {
		t.Fatal(err)
	}
	return root
}

type entry = map[string]any

func entries() []entry {
	resources := func() entry {
		return entry{"cpu": "1", "memory": "256Mi", "concurrency": 80, "min": 0, "max": 50, "timeout": "30s"}
	}
	return []entry{
		{"name": "labels", "folder": "functions/labels", "entry": "Labels", "kind": "http", "auth": "token",
			"resources": resources(), "secrets": []string{"hop-key"}, "invokers": []string{"router"}, "database": "app"},
		{"name": "mailer", "folder": "functions/mailer", "entry": "Mailer", "kind": "task",
			"queue":     entry{"name": "mail", "max_attempts": 4, "min_backoff": "1s", "max_backoff": "5m", "max_age": "24h", "rate": 50, "concurrency": 20},
			"resources": resources(), "secrets": []string{}, "invokers": []string{"cloudtasks"}, "database": "app"},
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, root, name, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), from) {
		t.Fatalf("%s does not contain %q", name, from)
	}
	write(t, root, name, strings.ReplaceAll(string(raw), from, to))
}

func writeList(t *testing.T, root string, list []entry) {
	t.Helper()
	raw, err := json.Marshal(entry{"functions": list})
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, ListFile, string(raw))
}

func TestGenerateLeavesNothingToDo(t *testing.T) {
	t.Parallel()
	root := tree(t)
	faults, err := Check(root)
	if err != nil || len(faults) > 0 {
		t.Fatalf("a generated tree has faults: %v %v", faults, err)
	}
	changed, err := Generate(root)
	if err != nil || len(changed) > 0 {
		t.Fatalf("the second run wrote %v, %v", changed, err)
	}

	gen, err := os.ReadFile(filepath.Join(root, "functions/all/all_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "all_gen.go", gen, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{name: "labels", open: labels.Open, function: labels.Function},`,
		`{name: "mailer", open: mailer.Open},`,
	} {
		if !strings.Contains(string(gen), want) {
			t.Errorf("all_gen.go lacks %s:\n%s", want, gen)
		}
	}
	mod, _ := os.ReadFile(filepath.Join(root, "functions/all/go.mod"))
	if s := string(mod); strings.Contains(s, "gone") || !strings.Contains(s, Module+"/functions/labels => ../../functions/labels") {
		t.Errorf("functions/all/go.mod:\n%s", s)
	}
	tests, _ := os.ReadFile(filepath.Join(root, "tests/go.mod"))
	for _, want := range []string{"functions/all => ../functions/all", "functions/mailer => ../functions/mailer", "shared => ../shared"} {
		if !strings.Contains(string(tests), Module+"/"+want) {
			t.Errorf("tests/go.mod lacks %s:\n%s", want, tests)
		}
	}
	work, _ := os.ReadFile(filepath.Join(root, "go.work"))
	if want := "go 1.26.0\n\nuse (\n\t./functions/all\n\t./functions/labels\n\t./functions/mailer\n\t./shared\n)\n"; string(work) != want {
		t.Errorf("go.work is\n%s\nwant\n%s", work, want)
	}
	build, _ := os.ReadFile(filepath.Join(root, "cloudbuild.yaml"))
	for _, want := range []string{"id: deploy-labels", "args: [mailer, Mailer]", "waitFor: [smoke-router, smoke-labels, smoke-mailer]"} {
		if !strings.Contains(string(build), want) {
			t.Errorf("cloudbuild.yaml lacks %q", want)
		}
	}
}

func TestCheckFindsDisagreements(t *testing.T) {
	t.Parallel()
	change := func(n int, key string, v any) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			t.Helper()
			list := entries()
			list[n][key] = v
			writeList(t, root, list)
		}
	}
	resources := func(key string, v any) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			t.Helper()
			list := entries()
			list[0]["resources"].(entry)[key] = v
			writeList(t, root, list)
		}
	}
	source := func(file, from, to string) func(*testing.T, string) {
		return func(t *testing.T, root string) { t.Helper(); edit(t, root, file, from, to) }
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, root string) {
			t.Helper()
			if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	const fn = "functions/labels/function.go"
	tests := map[string]struct {
		breakIt func(*testing.T, string)
		want    string
	}{
		"entry differs":         {change(0, "entry", "Tags"), `registers ["Labels"]`},
		"entry twice":           {change(0, "entry", "Mailer"), "is that of labels"},
		"unsorted":              {change(0, "name", "zoo"), "sorted by name"},
		"folder differs":        {change(0, "folder", "functions/tags"), "not named as the function"},
		"no module":             {remove("functions/labels/go.mod"), "has no go.mod"},
		"keyword":               {change(0, "name", "func"), "the name is taken"},
		"system for clients":    {change(0, "database", "system"), "crosses tenants"},
		"everyone may call":     {change(0, "invokers", []string{"everyone"}), "raw body"},
		"fewer at most":         {resources("min", 60), "fewer instances"},
		"concurrency below one": {resources("cpu", "0.5"), "one request at a time"},
		"not registered":        {source(fn, "functions.HTTP", "functions.Typed"), "registers []"},
		"no blank import":       {source(fn, "framework-go/funcframework", "framework-go/other"), "must import funcframework"},
		"no Open":               {source(fn, "func Open", "func Begin"), "no func Open"},
		"no Function":           {source(fn, "func Function", "func Describe"), "no func Function"},
		"package name":          {source(fn, "package labels", "package tags"), `is named "tags"`},
		"module path":           {source("functions/labels/go.mod", "labels", "tags"), "the module is"},
		"no main":               {remove("functions/labels/cmd"), "cmd/main.go is missing"},
		"not in go.work":        {source("go.work", "\t./functions/labels\n", ""), "go.work is not"},
		"not imported by all":   {source("functions/all/all_gen.go", "labels.Open", "mailer.Open"), "all_gen.go is not"},
		"no generated file":     {remove("cloudbuild.yaml"), "cloudbuild.yaml is not"},
		"stray function": {func(t *testing.T, root string) {
			t.Helper()
			write(t, root, "schedulers/sweep/go.mod", "module x\n")
		}, "schedulers/sweep is not in"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t)
			tt.breakIt(t, root)
			faults, err := Check(root)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, tt.want) }) {
				t.Errorf("no fault says %q: %q", tt.want, faults)
			}
		})
	}
}

func retry(attempts int) entry {
	return entry{"max_attempts": attempts, "min_backoff": "10s", "max_backoff": "10m", "max_age": "24h"}
}

// TestSchedules holds that what a schedule may miss is counted from its times,
// and that times that never come are found.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for cron, want := range map[string]string{
		"20 3 * * *":   `{Name: "labels", Cron: "20 3 * * *", Timezone: "Europe/Berlin", MaxLateness: 10 * time.Minute, LongestGap: 1500 * time.Minute},`,
		"*/15 * * * *": `LongestGap: 15 * time.Minute},`,
		"0 0 31 2 *":   "",
	} {
		root := tree(t)
		list := entries()
		delete(list[0], "auth")
		merge(list[0], entry{"kind": "schedule", "folder": "schedulers/labels", "cron": cron, "timezone": "Europe/Berlin", "max_lateness": "10m", "invokers": []string{"scheduler"}, "database": "system"})
		writeList(t, root, list)
		_, err := Generate(root)
		if want == "" {
			faults, checked := Check(root)
			if err == nil || checked != nil || !strings.Contains(strings.Join(faults, " "), "never comes") {
				t.Errorf("%s: %v, %v, %v", cron, err, faults, checked)
			}
			continue
		}
		text, _ := os.ReadFile(filepath.Join(root, "shared/schedule/plans_gen.go"))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v\n%s", cron, err, text)
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(entry){
		"http":     func(e entry) {},
		"raw http": func(e entry) { e["raw"] = true },
		"pubsub": func(e entry) {
			delete(e, "auth")
			merge(e, entry{"kind": "pubsub", "topic": "events", "ordering": true, "retry": retry(5), "invokers": []string{"pubsub"}})
		},
		"schedule": func(e entry) {
			delete(e, "auth")
			merge(e, entry{"kind": "schedule", "folder": "schedulers/labels", "cron": "*/5 * * * *", "timezone": "Europe/Berlin", "max_lateness": "10m", "invokers": []string{"scheduler"}, "database": "system"})
		},
	}
	for name, change := range kinds {
		t.Run("accepts "+name, func(t *testing.T) {
			t.Parallel()
			root := tree(t)
			list := entries()
			change(list[0])
			writeList(t, root, list)
			if _, err := Load(root); err != nil {
				t.Error(err)
			}
		})
	}
	refused := map[string]func(entry){
		"unknown property":     func(e entry) { e["colour"] = "red" },
		"no auth":              func(e entry) { delete(e, "auth") },
		"unknown auth":         func(e entry) { e["auth"] = "cookie" },
		"unknown kind":         func(e entry) { e["kind"] = "socket" },
		"queue on http":        func(e entry) { e["queue"] = entry{} },
		"task without queue":   func(e entry) { delete(e, "auth"); e["kind"] = "task"; e["invokers"] = []string{"cloudtasks"} },
		"pubsub without topic": func(e entry) { delete(e, "auth"); e["kind"] = "pubsub"; e["ordering"] = true },
		"too few attempts": func(e entry) {
			delete(e, "auth")
			merge(e, entry{"kind": "pubsub", "topic": "events", "ordering": true, "retry": retry(4), "invokers": []string{"pubsub"}})
		},
		"schedule in functions/": func(e entry) {
			delete(e, "auth")
			merge(e, entry{"kind": "schedule", "cron": "0 3 * * *", "timezone": "UTC", "max_lateness": "1h", "invokers": []string{"scheduler"}})
		},
		"cron with seconds": func(e entry) {
			delete(e, "auth")
			merge(e, entry{"kind": "schedule", "folder": "schedulers/labels", "cron": "0 0 3 * * *", "timezone": "UTC", "max_lateness": "1h", "invokers": []string{"scheduler"}})
		},
		"no invoker":        func(e entry) { e["invokers"] = []string{} },
		"secret twice":      func(e entry) { e["secrets"] = []string{"a-key", "a-key"} },
		"name with capital": func(e entry) { e["name"] = "Labels" },
		"memory in bytes":   func(e entry) { e["resources"].(entry)["memory"] = "268435456" },
		"folder outside":    func(e entry) { e["folder"] = "../labels" },
	}
	for name, change := range refused {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			root := tree(t)
			list := entries()
			change(list[0])
			writeList(t, root, list)
			if _, err := Load(root); err == nil || !strings.Contains(err.Error(), "/functions/0") {
				t.Errorf("taken, or the place is not named: %v", err)
			}
		})
	}
}

func merge(into, from entry) {
	maps.Copy(into, from)
}

func TestLoadSaysWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(t *testing.T, root string){
		"no list":           func(t *testing.T, root string) { t.Helper(); _ = os.Remove(filepath.Join(root, ListFile)) },
		"list is no JSON":   func(t *testing.T, root string) { t.Helper(); write(t, root, ListFile, "{") },
		"no schema":         func(t *testing.T, root string) { t.Helper(); _ = os.Remove(filepath.Join(root, SchemaFile)) },
		"schema is no JSON": func(t *testing.T, root string) { t.Helper(); write(t, root, SchemaFile, "{") },
		"schema is wrong":   func(t *testing.T, root string) { t.Helper(); write(t, root, SchemaFile, `{"type": 7}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t)
			breakIt(t, root)
			if _, err := Check(root); err == nil {
				t.Error("Check found nothing")
			}
			if _, err := Generate(root); err == nil {
				t.Error("Generate found nothing")
			}
		})
	}
}

func TestRoot(t *testing.T) {
	t.Parallel()
	root := tree(t)
	got, err := Root(filepath.Join(root, "functions", "labels"))
	if err != nil || got != root {
		t.Errorf("Root = %q, %v; want %q", got, err, root)
	}
	if _, err := Root(string(filepath.Separator)); err == nil {
		t.Error("a root was found where there is none")
	}
}

// TestRepository holds the repository's own list against its schema; whether the
// tree agrees with it is for `make verify`.
func TestRepository(t *testing.T) {
	t.Parallel()
	list, err := Load(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	r := &report{}
	checkList(r, list)
	if len(list) == 0 || len(r.faults) > 0 {
		t.Errorf("%d functions, faults: %v", len(list), r.faults)
	}
}

func TestAddKeepsOrderAndLayout(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{ListFile, SchemaFile} {
		raw, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, root, name, string(raw))
	}
	before, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	f := before[0]
	for _, name := range []string{"aaa", "mmm", "zzz"} {
		f.Name, f.Folder, f.Entry = name, "functions/"+name, strings.ToUpper(name[:1])+name[1:]
		if err := Add(root, f); err != nil {
			t.Fatal(err)
		}
	}
	after, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	r := &report{}
	checkList(r, after)
	if len(after) != len(before)+3 || len(r.faults) > 0 {
		t.Errorf("%d functions after %d, faults %v", len(after), len(before), r.faults)
	}
	raw, _ := os.ReadFile(filepath.Join(root, ListFile))
	// The new entries look like the one they were made from.
	for _, name := range []string{"aaa", "mmm", "zzz"} {
		model := strings.NewReplacer("activity", name, "Activity", strings.ToUpper(name[:1])+name[1:]).Replace(section(string(raw), "activity"))
		if got := section(string(raw), name); got != model {
			t.Errorf("the entry is\n%s\nwant\n%s", got, model)
		}
	}
	if err := Add(root, f); err == nil {
		t.Error("a name was added twice")
	}
	write(t, root, ListFile, `{"functions":[{}]}`)
	if err := Add(root, f); err == nil {
		t.Error("an entry was added to a list that does not fit its schema")
	}
}

// section is the text of one entry.
func section(text, name string) string {
	_, rest, _ := strings.Cut(text, `{"name": "`+name+`"`)
	entry, _, _ := strings.Cut(rest, "}\n")
	entry, _, _ = strings.Cut(entry, "},\n    {")
	return entry
}

// What AWS counts or bounds differently is converted or refused.
func TestSAM(t *testing.T) {
	t.Parallel()
	for cron, want := range map[string]string{
		"* * * * *":      "cron(* * * * ? *)",
		"*/15 * * * *":   "cron(*/15 * * * ? *)",
		"20 2 1 * *":     "cron(20 2 1 * ? *)",
		"0 6 * * MON":    "cron(0 6 ? * MON *)",
		"0 6 * * 1":      "!name the days",
		"0 6 1 * MON":    "!not both",
		"0 6 * *":        "!five fields",
		"0 6 * * * 2027": "!five fields",
	} {
		got, err := awsCron(Function{Name: "n", Cron: cron})
		if fault, refused := strings.CutPrefix(want, "!"); refused && (err == nil || !strings.Contains(err.Error(), fault)) || !refused && (err != nil || got != want) {
			t.Errorf("%s: %q %v", cron, got, err)
		}
	}
	for memory, want := range map[string]int{"256Mi": 512, "512Mi": 512, "1Gi": 1024, "768Mi": 768, "1Ti": 0, "xMi": 0} {
		got, err := megabytes(Function{Name: "n", Resources: Resources{Memory: memory}})
		if want == 0 && err == nil || want != 0 && (err != nil || got != want) {
			t.Errorf("%s: %d %v", memory, got, err)
		}
	}
	for timeout, want := range map[string]int{"60s": 60, "10m": 600, "30m": lambdaLimit} {
		if got, err := lambdaSeconds(Function{Resources: Resources{Timeout: timeout}}); err != nil || got != want {
			t.Errorf("%s: %d %v", timeout, got, err)
		}
	}
	if _, err := lambdaSeconds(Function{Resources: Resources{Timeout: "soon"}}); err == nil {
		t.Error("a time that is none")
	}
	for concurrency, want := range map[int]int{0: 1, 1: 1, 2: 10, 80: 10} {
		if got := batch(Function{Resources: Resources{Concurrency: concurrency}}); got != want {
			t.Errorf("batches of %d for %d at once", got, concurrency)
		}
	}
	if got := attempts(Function{Queue: &Queue{Retry: Retry{MaxAttempts: 4}}, Retry: &Retry{MaxAttempts: 9}}); got != 4 {
		t.Errorf("%d attempts", got)
	}
	if got := attempts(Function{Retry: &Retry{MaxAttempts: 9}}); got != 9 {
		t.Errorf("%d attempts", got)
	}
}
