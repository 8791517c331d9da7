// Package doclint holds the documents to the tree: a test that one names exists,
// a file that one links to is there.
package doclint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// files gives the repository's files whose name ends so, without what is
// generated, vendored or test data.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != root && (strings.HasPrefix(name, ".") && name != ".github" || name == "testdata" || name == "dist" || name == "vendor") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, suffix) {
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var (
	declared = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	named    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w+)`")
	link     = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
)

func TestNamedTestsExist(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, f := range files(t, "_test.go") {
		for _, m := range declared.FindAllStringSubmatch(read(t, f), -1) {
			have[m[1]] = true
		}
	}
	names := 0
	for _, f := range files(t, ".md") {
		for _, m := range named.FindAllStringSubmatch(read(t, f), -1) {
			if names++; !have[m[1]] {
				t.Errorf("%s names %s, which does not exist", f, m[1])
			}
		}
	}
	if names < 30 {
		t.Errorf("only %d tests are named: the table of docs/SECURITY.md was not read", names)
	}
}

// TestTrapsAreInTheTable wants each regression test of a trap in docs/SECURITY.md.
func TestTrapsAreInTheTable(t *testing.T) {
	t.Parallel()
	table := read(t, filepath.Join(root, "docs", "SECURITY.md"))
	for _, f := range files(t, "_test.go") {
		for _, m := range declared.FindAllStringSubmatch(read(t, f), -1) {
			if strings.HasPrefix(m[1], "TestTrapT") && !strings.Contains(table, "`"+m[1]+"`") {
				t.Errorf("%s of %s is not in docs/SECURITY.md", m[1], f)
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(read(t, f), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s links to %s, which is not there", f, m[1])
			}
		}
	}
}

var (
	shell  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	fences = regexp.MustCompile("(?s)```.*?```")
	// A command inside a sentence or a table: it begins with make or with one of our
	// scripts, after the variables that it is given.
	inline = regexp.MustCompile("`((?:[A-Z][A-Z_]*=\\S* +)*(?:make [a-z]|(?:\\./)?scripts/)[^`]*)`")
	target = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// TestCommandsExist holds the commands that documents show to the tree: targets of
// the Makefile, scripts, packages that are run or tested.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1) {
		targets[m[1]] = true
	}
	seen, within := 0, 0
	for _, f := range files(t, ".md") {
		for _, command := range inline.FindAllStringSubmatch(fences.ReplaceAllString(read(t, f), ""), -1) {
			within++
			for _, fault := range unknown(filepath.Dir(f), strings.Fields(command[1]), targets) {
				t.Errorf("%s names %q: %s", f, command[1], fault)
			}
		}
		for _, block := range shell.FindAllStringSubmatch(read(t, f), -1) {
			for line := range strings.Lines(block[1]) {
				line, _, _ = strings.Cut(line, " #")
				seen++
				for _, fault := range unknown(filepath.Dir(f), strings.Fields(line), targets) {
					t.Errorf("%s shows %q: %s", f, strings.TrimSpace(line), fault)
				}
			}
		}
	}
	if seen < 40 || within < 40 {
		t.Errorf("only %d commands were read, and %d within sentences", seen, within)
	}
}

// unknown says what of a command is there neither from the root nor from the
// document's folder.
func unknown(dir string, words []string, targets map[string]bool) []string {
	var faults []string
	for i, w := range words {
		path := strings.TrimPrefix(w, "./")
		switch {
		case i > 0 && words[i-1] == "make" && regexp.MustCompile(`^[a-z-]+$`).MatchString(w):
			if !targets[w] {
				faults = append(faults, "the Makefile has no "+w)
			}
		case strings.HasPrefix(path, "scripts/"), strings.HasPrefix(w, "./") && !strings.Contains(w, "{"):
			path = strings.TrimSuffix(strings.TrimRight(path, ";"), "/...")
			if path == "..." {
				continue
			}
			fromRoot, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(path)))
			fromHere, _ := filepath.Glob(filepath.Join(dir, filepath.FromSlash(path)))
			if len(fromRoot)+len(fromHere) == 0 {
				faults = append(faults, path+" is not there")
			}
		}
	}
	return faults
}

func TestUnknownCommandsAreFound(t *testing.T) {
	t.Parallel()
	targets := map[string]bool{"run": true}
	for command, want := range map[string]int{
		"make run": 0, "make fly": 1, "PORT=1 make run": 0, "scripts/lint.sh --fix": 0, "scripts/none.sh": 1,
		"scripts/release": 0, "scripts/none": 1, "scripts/delivery/*.sh": 0, "scripts/none*": 1, "A=1 scripts/none": 1,
		"go run ./scripts/cmd/deps -check": 0, "go run ./scripts/cmd/none": 1, "go test ./shared/...": 0, "curl localhost": 0,
	} {
		if got := unknown(root, strings.Fields(command), targets); len(got) != want {
			t.Errorf("%s: %v", command, got)
		}
	}
}
