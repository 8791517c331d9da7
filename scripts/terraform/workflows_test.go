package terraform

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

type workflow struct {
	On   map[string]struct{ Paths []string }
	Jobs map[string]job
}

type job struct {
	Timeout int               `yaml:"timeout-minutes"`
	Env     map[string]string `yaml:"env"`
	Steps   []jobStep         `yaml:"steps"`
}

type jobStep struct {
	ID   string            `yaml:"id"`
	Uses string            `yaml:"uses"`
	With map[string]string `yaml:"with"`
	If   string            `yaml:"if"`
	Env  map[string]string `yaml:"env"`
	Run  string            `yaml:"run"`
}

func workflows(t *testing.T) map[string]workflow {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	out := map[string]workflow{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var w struct {
			On   yaml.Node      `yaml:"on"`
			Jobs map[string]job `yaml:"jobs"`
		}
		if err := yaml.Unmarshal(raw, &w); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		one := workflow{Jobs: w.Jobs}
		if w.On.Kind == yaml.MappingNode {
			// A schedule is a list, which has no paths.
			events := map[string]yaml.Node{}
			if err := w.On.Decode(&events); err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			one.On = map[string]struct{ Paths []string }{}
			for name, event := range events {
				var paths struct{ Paths []string }
				if event.Kind == yaml.MappingNode {
					if err := event.Decode(&paths); err != nil {
						t.Fatalf("%s: %s: %v", f, name, err)
					}
				}
				one.On[name] = paths
			}
		}
		out[filepath.Base(f)] = one
	}
	return out
}

// Runners of GitHub have no terraform: every job that calls it brings it, and all
// bring the same.
func TestJobsBringTerraform(t *testing.T) {
	t.Parallel()
	calls := regexp.MustCompile(`\.ci/run|make terraform-check|scripts/delivery/(plan|apply)\.sh`)
	versions, seen := map[string]bool{}, 0
	for name, w := range workflows(t) {
		for id, j := range w.Jobs {
			brought := false
			for _, s := range j.Steps {
				if strings.HasPrefix(s.Uses, "hashicorp/setup-terraform@") {
					brought = true
					versions[s.Uses+" "+s.With["terraform_version"]] = true
				}
				if calls.MatchString(s.Run) {
					if seen++; !brought {
						t.Errorf("%s: %s runs %q without hashicorp/setup-terraform before it", name, id, s.Run)
					}
				}
			}
		}
	}
	if seen < 5 || len(versions) != 1 {
		t.Errorf("%d calls, by %v", seen, versions)
	}
	if ci := workflows(t)["ci.yml"].Jobs["everything"]; ci.Timeout < 90 {
		t.Errorf("CI has %d minutes, and a run takes up to 75 on two cores", ci.Timeout)
	}
}

// What a plan follows from starts a plan: the list of functions, and what each
// links, by which it gets its rights.
func TestWhatDecidesIsPlanned(t *testing.T) {
	t.Parallel()
	list, err := deployables.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	files := []string{deployables.ListFile, "terraform/modules/platform/main.tf"}
	for _, f := range list {
		files = append(files, f.Folder+"/"+linked.File)
	}
	w := workflows(t)["terraform.yml"]
	for _, event := range []string{"pull_request", "push"} {
		for _, f := range files {
			started := false
			for _, p := range w.On[event].Paths {
				matched, err := path.Match(p, f)
				if err != nil {
					t.Fatal(err)
				}
				folder, below := strings.CutSuffix(p, "**")
				started = started || matched || below && strings.HasPrefix(f, folder)
			}
			if !started {
				t.Errorf("%s: %s is changed and nothing is planned", event, f)
			}
		}
	}
}

// A plan that failed is commented on, as failed, and nothing lets the job pass.
func TestFailedPlansAreTold(t *testing.T) {
	t.Parallel()
	j := workflows(t)["terraform.yml"].Jobs["plan"]
	var told bool
	for _, s := range j.Steps {
		if strings.Contains(s.Run, "comment.sh") {
			told = s.If == "always()" && s.Env["OUTCOME"] == "${{ steps.plan.outcome }}"
		}
		if strings.Contains(s.Run, "plan.sh") && s.ID != "plan" {
			t.Errorf("the plan's step is called %q", s.ID)
		}
	}
	if !told {
		t.Error("the comment is made only when the plan succeeded")
	}
	if raw := text(t, ".github/workflows/*.yml"); strings.Contains(raw, "continue-on-error") {
		t.Error("a step may fail and the job passes")
	}
}

// What an environment asks for and has no default of its own for is given to every
// job that plans or applies it, and so is the bucket of the state.
func TestVariablesHaveASource(t *testing.T) {
	t.Parallel()
	inputs := text(t, "scripts/delivery/inputs.sh")
	page := text(t, "docs/DEPLOYMENT.md")
	exported := found(inputs, `TF_VAR_(\w+)=`)
	for _, script := range []string{"plan", "apply"} {
		raw := text(t, "scripts/delivery/"+script+".sh")
		for _, want := range []string{`-backend-config="bucket=$STATE_BUCKET"`, `-var-file="$images"`} {
			if !strings.Contains(raw, want) {
				t.Errorf("%s.sh has no %s", script, want)
			}
		}
	}
	all := workflows(t)
	jobs := map[string]job{"plan": all["terraform.yml"].Jobs["plan"], "apply": all["terraform.yml"].Jobs["apply"], "drift": all["drift.yml"].Jobs["drift"]}
	for _, dir := range []string{"dev", "staging", "production"} {
		body, _, err := parsed(filepath.Join(root, "terraform/environments", dir, "variables.tf"))
		if err != nil {
			t.Fatal(err)
		}
		asked := []string{"bucket"}
		for _, b := range body.Blocks {
			if _, given := b.Body.Attributes["default"]; !given {
				asked = append(asked, b.Labels[0])
			}
		}
		if len(asked) < 10 {
			t.Errorf("%s asks for %v", dir, asked)
		}
		for id, j := range jobs {
			if j.Env["ENVIRONMENT"] != "${{ matrix.environment }}" {
				t.Errorf("%s does not know its environment", id)
			}
			for _, name := range asked {
				key, variable := "TF_VAR_"+name, strings.ToUpper(name)
				switch {
				case name == "images" || slices.Contains(exported, name):
					continue
				case name == "repository":
					if j.Env[key] != "${{ github.repository }}" {
						t.Errorf("%s: the repository is %q", id, j.Env[key])
					}
					continue
				case name == "bucket":
					key, variable = "STATE_BUCKET", "STATE_BUCKET"
				}
				if want := "${{ vars[format('" + variable + "_{0}', matrix.environment)] }}"; j.Env[key] != want {
					t.Errorf("%s in %s: %s is %q, not %s", dir, id, key, j.Env[key], want)
				}
				if !strings.Contains(page, "`"+variable+"`") {
					t.Errorf("docs/DEPLOYMENT.md does not tell of %s", variable)
				}
			}
		}
	}
	if len(exported) != 3 {
		t.Errorf("%v said by inputs.sh", exported)
	}
}
