package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

// A Mutation is one edit of a module that must not pass its tests.
type Mutation struct {
	Module, File string
	// Old stands in the file, once or more; its first place becomes New.
	Old, New string
	// Caught is what a test says then: the message of an assertion, the object that
	// was expected to be refused, or a sentence of [Faults].
	Caught string
}

// rights reports whether the matrix catches it.
func (m Mutation) rights() bool {
	return strings.HasSuffix(m.Caught, AccessFile+" does not say so") || strings.HasPrefix(m.Caught, AccessFile+" says that")
}

// Mutate applies every mutation of one module to a copy of it and runs the
// module's own tests once: each mutation's own message must be among the
// failures. It returns a sentence for each that was not caught.
func Mutate(ctx context.Context, root, module string) ([]string, error) {
	return mutate(ctx, root, module, Mutations)
}

// tests is the folder whose tests are those of a module: what wires the others is
// tested by the environment that has the most.
func tests(module string) string {
	if module == "platform" {
		return EnvironmentsDir + "/production"
	}
	return ModulesDir + "/" + module
}

func mutate(ctx context.Context, root, module string, all []Mutation) ([]string, error) {
	dir, err := os.MkdirTemp("", "mutations")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := copied(root, dir); err != nil {
		return nil, err
	}
	// A work tree of its own, which programs that copy one take for the whole.
	if out, err := exec.CommandContext(ctx, "git", "init", "-q", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("git init: %w: %s", err, out)
	}
	var mine []Mutation
	for _, m := range all {
		if m.Module != module {
			continue
		}
		mine = append(mine, m)
		if err := m.make(dir); err != nil {
			return nil, err
		}
	}

	out, err := exec.CommandContext(ctx, filepath.Join(root, "scripts/terraform.sh"), "test", filepath.Join(dir, tests(module))).CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return nil, err
	}
	said := strings.Join(strings.Fields(string(out)), " ")
	if slices.ContainsFunc(mine, Mutation.rights) {
		faults, err := Faults(dir)
		if err != nil {
			return nil, err
		}
		said += " " + strings.Join(faults, " ")
	}
	var missed []string
	for _, m := range mine {
		if !strings.Contains(said, strings.Join(strings.Fields(m.Caught), " ")) {
			missed = append(missed, fmt.Sprintf("%s/%s: %q for %q: no test says %q", module, m.File, m.New, m.Old, m.Caught))
		}
	}
	if len(missed) > 0 {
		missed = append(missed, string(out))
	}
	return missed, nil
}

// make edits a copy.
func (m Mutation) make(dir string) error {
	file := filepath.Join(dir, ModulesDir, m.Module, m.File)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), m.Old) {
		return fmt.Errorf("%s/%s does not contain %q any more", m.Module, m.File, m.Old)
	}
	return os.WriteFile(file, []byte(strings.Replace(string(text), m.Old, m.New, 1)), 0o600)
}

// copied copies what the configuration consists of: its folder, the list of
// functions with its schema, and what each of them links.
func copied(root, dir string) error {
	if err := os.CopyFS(filepath.Join(dir, "terraform"), os.DirFS(filepath.Join(root, "terraform"))); err != nil {
		return err
	}
	files := []string{deployables.ListFile, deployables.SchemaFile}
	for _, parent := range []string{"functions", "schedulers"} {
		found, err := filepath.Glob(filepath.Join(root, parent, "*", linked.File))
		if err != nil {
			return err
		}
		for _, f := range found {
			files = append(files, filepath.Join(parent, filepath.Base(filepath.Dir(f)), linked.File))
		}
	}
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
