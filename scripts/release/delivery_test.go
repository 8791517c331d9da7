package release

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/deployables"
)

// script runs one of scripts/delivery with a gcloud of our own, and gives what it
// was called with, the calls that change something only.
func script(t *testing.T, state string, gcloud string, healthy bool, name string, args ...string) (calls string, ok bool) {
	t.Helper()
	return scriptIn(t, nil, state, gcloud, healthy, name, args...)
}

// scriptIn is the same with variables; without, the environment is staging.
func scriptIn(t *testing.T, variables []string, state string, gcloud string, healthy bool, name string, args ...string) (calls string, ok bool) {
	t.Helper()
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	program := func(dir, name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/bash\n"+text), 0o755); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	program(bin, "gcloud", `case "$*" in *"docker images list"*) cat "$LIST" ;; *print-access-token*) echo token ;; *--format=json*) echo '{"status":{"traffic":[{"revisionName":"before-1","percent":100}]}}' ;; *) echo "$*" >>"$LOG" ;; esac
`+gcloud)
	program(bin, "sleep", "exit 0\n")
	program(bin, "terraform", `echo "terraform $*" >>"$LOG"`+"\n")
	verdict := "exit 0"
	if !healthy {
		verdict = `[ "$1" != healthy ] || exit 1`
	}
	program(filepath.Join(state, "bin"), "release", `[ "$1" != images ] || exec go run ./scripts/cmd/release "$@"
[ "$1" != serving ] || { echo before-1; exit 0; }
[ "$1" != healthy ] || echo "healthy ${*: -1}" >>"$LOG"
`+verdict+"\n")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{"scripts/delivery/" + name}, args...)...) //nolint:gosec // a script of ours
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LOG="+log, "LIST="+filepath.Join(state, "registry.json"), "STATE="+state, "ENVIRONMENT=staging", "COMMIT=0123456789abcdef0123456789abcdef01234567", "BUILD_ID=", "STEPS=")
	cmd.Env = append(cmd.Env, variables...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	raw, readErr := os.ReadFile(log) //nolint:gosec // a file of the test
	if readErr != nil && !os.IsNotExist(readErr) {
		t.Fatal(readErr)
	}
	return string(raw), err == nil
}

// What google-github-actions/auth leaves in the checkout is no change of it, and is
// never committed.
func TestCredentialsOfAWorkflowAreIgnored(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"gha-creds-0123456789abcdef.json": true, "credentials.json": false} {
		cmd := exec.CommandContext(t.Context(), "git", "check-ignore", "--quiet", name)
		cmd.Dir = "../.."
		if ignored := cmd.Run() == nil; ignored != want {
			t.Errorf("%s: ignored is %v", name, ignored)
		}
	}
}

// TestCommentTellsOfAFailedPlan prints a comment for a plan that broke off after it
// had said what would change.
func TestCommentTellsOfAFailedPlan(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	write(t, state, "plan.txt", "Planning failed.\nPlan: 3 to add, 0 to change, 0 to destroy.\n")
	for outcome, want := range map[string]string{"success": "**dev**: Plan: 3 to add", "failure": "**dev**: the plan failed", "skipped": "**dev**: the plan failed"} {
		cmd := exec.CommandContext(t.Context(), "bash", "scripts/delivery/comment.sh", "--dry-run")
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "STATE="+state, "ENVIRONMENT=dev", "PULL=7", "OUTCOME="+outcome)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: no %q, %v in\n%s", outcome, want, err, out)
		}
	}
}

// registered is what gcloud prints of a registry that has an image of every name.
func registered(t *testing.T, but ...string) (names []string, list string) {
	t.Helper()
	all, err := deployables.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	const registry = "europe-west1-docker.pkg.dev/coditect-staging/images/"
	commit := strings.Repeat("c", 40)
	entry := func(name, digit string, tags any, at string) map[string]any {
		return map[string]any{"package": registry + name, "version": "sha256:" + strings.Repeat(digit, 64), "tags": tags, "createTime": at, "metadata": map[string]string{"type": "x"}}
	}
	var entries []map[string]any
	names = []string{Router, Migrate}
	for _, f := range all {
		names = append(names, f.Name)
	}
	for _, name := range names {
		if slices.Contains(but, name) {
			continue
		}
		entries = append(
			entries,
			entry(name, "1", []string{commit}, "2026-11-01T10:00:00Z"),
			entry(name, "2", strings.Repeat("d", 40)+", latest", "2026-11-02T10:00:00.123456Z"),
			entry(name, "3", []string{"sha256-" + strings.Repeat("2", 64) + ".sig"}, "2026-11-03T10:00:00Z"),
			entry(name, "4", "", "2026-11-04T10:00:00Z"),
		)
	}
	raw, err := json.Marshal(append(entries, entry("hydra", "5", []string{"v25.4.0"}, "2026-11-05T10:00:00Z")))
	if err != nil {
		t.Fatal(err)
	}
	return names, string(raw)
}

func TestImages(t *testing.T) {
	t.Parallel()
	const registry = "europe-west1-docker.pkg.dev/coditect-staging/images"
	names, list := registered(t)
	images, missing, err := Images(strings.NewReader(list), registry, names)
	if err != nil || len(missing) > 0 || len(images) != len(names) {
		t.Fatalf("%v, %v missing, %v", images, missing, err)
	}
	for name, image := range images {
		if want := registry + "/" + name + "@sha256:" + strings.Repeat("2", 64); image != want {
			t.Errorf("%s: %s is not the newest that a release pushed", name, image)
		}
	}
	_, list = registered(t, "tasks", "users")
	if _, _, err := ImageVariables(strings.NewReader(list), registry, names, false); err == nil || !strings.Contains(err.Error(), "tasks, users: release first") {
		t.Errorf("applied without an image: %v", err)
	}
	text, missing, err := ImageVariables(strings.NewReader(list), registry, names, true)
	if err != nil || !slices.Equal(missing, []string{"tasks", "users"}) || !strings.Contains(string(text), `/tasks@sha256:000`) {
		t.Errorf("planned %s without %v: %v", text, missing, err)
	}
	for _, broken := range []string{"", "{}", `[{"package":"` + registry + `/tasks","tags":["` + strings.Repeat("a", 40) + `"],"version":"latest"}]`} {
		if images, _, err := Images(strings.NewReader(broken), registry, names); err == nil {
			t.Errorf("%s: %v", broken, images)
		}
	}
}

// TestTerraformIsGivenEverything plans and applies with a terraform of our own.
func TestTerraformIsGivenEverything(t *testing.T) {
	t.Setenv("STATE_BUCKET", "the-states")
	given := map[string]string{
		"project_number": "123456789012", "repository": "example/platform", "base_domain": "staging.example.com", "app_url": "https://app.example.com",
		"mail_from": "Example <no-reply@example.com>", "emails": `["oncall@example.com"]`, "billing_account": "012345-6789AB-CDEF01",
	}
	for name, value := range given {
		t.Setenv("TF_VAR_"+name, value)
	}
	names, list := registered(t)
	for _, name := range []string{"plan.sh", "apply.sh"} {
		state := t.TempDir()
		write(t, state, "registry.json", list)
		calls, ok := script(t, state, "", true, name)
		file := filepath.Join(state, "staging.images.tfvars.json")
		for _, want := range []string{" init -input=false -no-color -backend-config=bucket=the-states\n", "-var-file=" + file} {
			if !ok || !strings.Contains(calls, want) {
				t.Errorf("%s: no %q in\n%s", name, want, calls)
			}
		}
		if plan := filepath.Join(state, "staging.tfplan"); name == "apply.sh" && (!strings.Contains(calls, "-out="+plan+"\n") || !strings.HasSuffix(calls, " "+plan+"\n")) {
			t.Errorf("applies another plan than it made:\n%s", calls)
		}
		raw, err := os.ReadFile(file) //nolint:gosec // a file of the test
		var variables struct{ Images map[string]string }
		if err != nil || json.Unmarshal(raw, &variables) != nil || len(variables.Images) != len(names) {
			t.Errorf("%s: %s, %v", name, raw, err)
		}
	}
	// Without one of them nothing is done.
	t.Setenv("TF_VAR_emails", "")
	t.Setenv("TF_VAR_billing_account", "")
	for _, name := range []string{"plan.sh", "apply.sh"} {
		state := t.TempDir()
		write(t, state, "registry.json", list)
		if calls, ok := script(t, state, "", true, name); ok || calls != "" {
			t.Errorf("%s: without variables it did\n%s", name, calls)
		}
	}
}

func changed(t *testing.T, names ...string) string {
	t.Helper()
	state := t.TempDir()
	write(t, state, "changed", strings.Join(names, "\n")+"\n")
	for _, n := range names {
		write(t, state, "images/"+n, "registry/"+n+"@sha256:"+strings.Repeat("a", 64)+"\n")
		write(t, state, "before/"+n, n+"-before\n")
	}
	return state
}

func TestTrafficShiftsInSteps(t *testing.T) {
	t.Parallel()
	gradual := []string{"=5 ", "=50 ", "=100 "}
	for name, tt := range map[string]struct {
		variables []string
		steps     []string
	}{
		"production":       {[]string{"ENVIRONMENT=production"}, gradual},
		"dev":              {[]string{"ENVIRONMENT=dev"}, gradual},
		"staging":          {nil, []string{"=100 "}},
		"as somebody says": {[]string{"STEPS=20 100"}, []string{"=20 ", "=100 "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, ok := scriptIn(t, tt.variables, changed(t, "tasks", "router", "users"), "", true, "shift.sh", "functions")
			if !ok {
				t.Error("failed")
			}
			var got []string
			for line := range strings.Lines(calls) {
				got = append(got, strings.TrimSpace(line))
			}
			project := "coditect-staging"
			if len(tt.variables) > 0 && strings.HasPrefix(tt.variables[0], "ENVIRONMENT=") {
				project = "coditect-" + name
			}
			var want []string
			for _, step := range tt.steps {
				for _, service := range []string{"tasks", "users"} {
					want = append(want, "run services update-traffic "+service+" --project="+project+" --region=europe-west1 --to-revisions="+service+"-r-0123456789ab"+step+"--quiet")
				}
				want = append(want, "healthy users=users-r-0123456789ab")
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s", strings.Join(got, "\n"))
			}
		})
	}
	for _, steps := range []string{"5 50", "50 5 100", "100 100", "5 150", "all", "0 100", "100;ls"} {
		if calls, ok := scriptIn(t, []string{"STEPS=" + steps}, changed(t, "tasks"), "", true, "shift.sh", "functions"); ok || calls != "" {
			t.Errorf("%s: %s", steps, calls)
		}
	}
}

func TestTrafficGoesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps, gcloud string
		healthy       bool
	}{
		"not healthy":                    {"5 50 100", "", false},
		"not healthy, all at once":       {"100", "", false},
		"a command that fails":           {"5 50 100", `[[ "$*" != *=50* ]]` + "\n", true},
		"a switch that fails half-way":   {"100", `[[ "$*" != *users-r-* ]]` + "\n", true},
		"a service that does not return": {"100", `[[ "$*" != *tasks-before* ]]` + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, ok := scriptIn(t, []string{"STEPS=" + tt.steps}, changed(t, "tasks", "users"), tt.gcloud, tt.healthy, "shift.sh", "functions")
			if ok {
				t.Error("is said to have worked")
			}
			for _, want := range []string{"update-traffic tasks", "--to-revisions=tasks-before=100", "--to-revisions=users-before=100"} {
				if !strings.Contains(calls, want) {
					t.Errorf("no %q in\n%s", want, calls)
				}
			}
			if tt.steps != "100" && strings.Contains(calls, "r-0123456789ab=100") {
				t.Errorf("went on:\n%s", calls)
			}
		})
	}
}

// What the router's revision shows wrong may be the functions' that it calls: all that
// was shifted goes back, the router's first.
func TestTheRouterTakesTheFunctionsBack(t *testing.T) {
	t.Parallel()
	calls, ok := script(t, changed(t, "tasks", "router", "users"), "", false, "shift.sh", "router")
	if ok {
		t.Error("is said to have worked")
	}
	at := 0
	for _, want := range []string{"update-traffic router", "--to-revisions=router-r-0123456789ab=100 ", "--to-revisions=router-before=100", "--to-revisions=tasks-before=100", "--to-revisions=users-before=100"} {
		i := strings.Index(calls[at:], want)
		if i < 0 {
			t.Fatalf("no %q after %d of\n%s", want, at, calls)
		}
		at += i
	}
	if strings.Contains(calls, "--to-revisions=tasks-r-") {
		t.Errorf("shifted functions again:\n%s", calls)
	}
}

// A release that failed is started again for the same commit: Cloud Run refuses a
// revision of a name that another image has.
func TestAReleaseCanBeRepeated(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, build := range []string{"1a2b3c4d-0000-4000-8000-000000000000", "5e6f7a8b-0000-4000-8000-000000000000"} {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", `. scripts/delivery/lib.sh && echo "$RELEASE"`)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "COMMIT=0123456789abcdef0123456789abcdef01234567", "BUILD_ID="+build, "RELEASE=")
		out, err := cmd.CombinedOutput()
		if name := strings.TrimSpace(string(out)); err != nil || name != "r-0123456789ab-"+build[:4] || names[name] {
			t.Errorf("%s, %v", name, err)
		}
		names[strings.TrimSpace(string(out))] = true
	}
	// The name of a service and a tag have 46 letters together.
	list, err := deployables.Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		for name := range names {
			if len(f.Name)+len(name) > 46 {
				t.Errorf("%s with %s is too long", f.Name, name)
			}
		}
	}
}

// After a release one goes back to what is tagged, for which nothing needs to be left
// on the machine that released.
func TestGoingBackLater(t *testing.T) {
	t.Parallel()
	const commit = "fedcba9876543210fedcba9876543210fedcba98"
	listed := `case "$*" in *"services list"*"commit=` + commit + `"*) printf 'tasks\nrouter\nusers\n' ;; *"cat gs://coditect-staging-releases/current"*) echo ` + commit + ` ;; esac` + "\n"
	back := func(service, to string) string {
		return "run services update-traffic " + service + " --project=coditect-staging --region=europe-west1 --to-" + to + "=100 --quiet"
	}
	blues := []string{back("router", "tags=blue"), back("tasks", "tags=blue"), back("users", "tags=blue")}
	renoted := "storage cp gs://coditect-staging-releases/previous gs://coditect-staging-releases/current"
	for name, tt := range map[string]struct {
		state  func(t *testing.T) string
		gcloud string
		args   []string
		want   []string
		ok     bool
	}{
		"a service":                 {(*testing.T).TempDir, "", []string{"tasks"}, []string{back("tasks", "tags=blue")}, true},
		"a service to a revision":   {(*testing.T).TempDir, "", []string{"tasks=tasks-r-1"}, []string{back("tasks", "revisions=tasks-r-1")}, true},
		"within its release":        {func(t *testing.T) string { t.Helper(); return changed(t, "tasks") }, "", []string{"tasks"}, []string{back("tasks", "revisions=tasks-before")}, true},
		"not yet deployed in it":    {func(t *testing.T) string { t.Helper(); return changed(t, "tasks") }, "", []string{"users"}, nil, false},
		"nobody says what":          {(*testing.T).TempDir, "", nil, nil, false},
		"a release":                 {(*testing.T).TempDir, listed, []string{"--release", commit}, append(slices.Clone(blues), renoted), true},
		"a release never noted":     {(*testing.T).TempDir, strings.Replace(listed, "echo "+commit, "echo another", 1), []string{"--release", commit}, blues, true},
		"a release of nothing":      {(*testing.T).TempDir, "", []string{"--release", commit}, nil, false},
		"one of it does not return": {(*testing.T).TempDir, listed + `[[ "$*" != *"traffic tasks"* ]]` + "\n", []string{"--release", commit}, blues, false},
		"which release":             {(*testing.T).TempDir, listed, []string{"--release"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, ok := script(t, tt.state(t), tt.gcloud, true, "rollback.sh", tt.args...)
			var got []string
			for line := range strings.Lines(calls) {
				if line = strings.TrimSpace(line); strings.Contains(line, "update-traffic") || strings.Contains(line, " cp ") {
					got = append(got, line)
				}
			}
			if ok != tt.ok || !slices.Equal(got, tt.want) {
				t.Errorf("%t\n%s", ok, strings.Join(got, "\n"))
			}
		})
	}
}

// What was released before is noted beside what is: rollback.sh goes back to it.
func TestRecorded(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for since, want := range map[string]string{
		"fedcba9876543210": "fedcba9876543210 previous\n" + commit + " current\n",
		commit:             commit + " current\n", // the same again
		"":                 commit + " current\n", // the first
	} {
		state := changed(t, "tasks")
		write(t, state, "since", since+"\n")
		calls, ok := script(t, state, `[ "$1 $2" != "storage cp" ] || echo "$(cat) ${4##*/}" >>"$LOG"`+"\n", true, "record.sh")
		var got strings.Builder
		for line := range strings.Lines(calls) {
			if !strings.HasPrefix(line, "storage cp") {
				got.WriteString(line)
			}
		}
		if !ok || got.String() != want {
			t.Errorf("%q: %s", since, calls)
		}
	}
}

func TestDeployedWithoutTrafficByDigest(t *testing.T) {
	t.Parallel()
	state := changed(t, "tasks")
	calls, ok := script(t, state, "", true, "deploy.sh", "tasks")
	for _, want := range []string{"run services update-traffic tasks --project=coditect-staging --region=europe-west1 --update-tags=blue=before-1 --quiet\nrun services update tasks", "--no-traffic", "--tag=green", "--revision-suffix=r-0123456789ab", "--image=registry/tasks@sha256:aaaa"} {
		if !ok || !strings.Contains(calls, want) {
			t.Errorf("no %q in\n%s", want, calls)
		}
	}
	if raw, err := os.ReadFile(filepath.Join(state, "before", "tasks")); err != nil || string(raw) != "before-1\n" { //nolint:gosec // a file of the test
		t.Errorf("before: %q, %v", raw, err)
	}
	if calls, ok := script(t, state, "", true, "deploy.sh", "users"); !ok || calls != "" {
		t.Errorf("deployed what did not change:\n%s", calls)
	}
}

// TestDryRuns runs every step of a release dry: the commands are printed, none is
// executed.
func TestDryRuns(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "scripts/delivery/release.sh", "staging", "--dry-run")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "STATE="+state, "COMMIT=0123456789abcdef0123456789abcdef01234567", "BUILD_ID=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := 0
	for _, want := range []string{
		"+ git status --porcelain", "+ gcloud builds submit",
		"+ gcloud storage cat", "+ release changed", "+ make test", "+ scripts/package.sh", "+ pack build", "+ docker build --target router", "+ docker inspect",
		"/cosign sign", "--type cyclonedx", "--type slsaprovenance1", "binauthz attestations sign-and-create", "+ release expands",
		"jobs execute migrate", "--no-traffic", "jobs execute smoke", "r-0123456789ab=100 --quiet", "+ gcloud auth print-access-token", "+ release healthy", "+ gcloud storage cp - gs://coditect-staging-releases/previous", "+ gcloud storage cp - gs://coditect-staging-releases/current",
	} {
		i := strings.Index(string(out[at:]), want)
		if i < 0 {
			t.Fatalf("no %q after\n%s", want, out[:at])
		}
		at += i
	}
	if left, err := os.ReadDir(state); err != nil || len(left) > 0 {
		t.Errorf("a dry run left %v, %v", left, err)
	}
}

// TestDryRunsPrintWhatIsRun runs each script twice, with programs that write down how
// they were called: what a real run calls, a dry run prints, and calls nothing.
func TestDryRunsPrintWhatIsRun(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		script string
		args   []string
		calls  []string // among those that the real run must have made
	}{
		{"release.sh", []string{"staging"}, []string{"git status", "gcloud builds submit"}},
		{"since.sh", nil, []string{"gcloud storage cat"}},
		{"function-image.sh", []string{"tasks", "Tasks"}, []string{"pack build"}},
		{"image.sh", []string{"router"}, []string{"docker build", "docker push", "docker inspect"}},
		{"sign.sh", nil, []string{"release provenance", "cosign sign", "cosign attest", "gcloud container binauthz attestations"}},
		{"migrate.sh", nil, []string{"release expands", "gcloud run jobs execute"}},
		{"deploy.sh", []string{"tasks"}, []string{"release serving", "gcloud run services update"}},
		{"smoke.sh", []string{"tasks"}, []string{"gcloud run services describe", "gcloud run jobs execute"}},
		{"shift.sh", []string{"functions"}, []string{"gcloud run services update-traffic", "sleep", "gcloud auth print-access-token", "release healthy"}},
		{"rollback.sh", []string{"tasks"}, []string{"gcloud run services update-traffic"}},
		{"rollback.sh", []string{"--release", "0123456789abcdef0123456789abcdef01234567"}, []string{"gcloud run services list", "gcloud run services update-traffic", "gcloud storage cat"}},
		{"rollback.sh", []string{"tasks=tasks-r-1"}, []string{"gcloud run services update-traffic"}},
		{"record.sh", nil, []string{"gcloud storage cp"}},
		{"plan.sh", nil, []string{"gcloud artifacts docker images", "release images", "terraform init", "terraform plan"}},
		{"apply.sh", nil, []string{"gcloud artifacts docker images", "release images", "terraform init", "terraform plan", "terraform apply"}},
		{"cluster.sh", []string{"staging"}, []string{"gcloud container clusters list", "gcloud container clusters get-credentials", "kubectl kustomize", "kubectl diff", "kubectl apply", "kubectl rollout"}},
		{"comment.sh", nil, []string{"gh api", "gh pr"}},
		{"slack.sh", nil, []string{"curl"}},
	} {
		t.Run(strings.Join(append([]string{tt.script}, tt.args...), " "), func(t *testing.T) {
			t.Parallel()
			state := changed(t, "tasks", "router", "migrate")
			_, called := standIns(t, state, tt.script, tt.args...)
			printed, none := standIns(t, state, tt.script, append(tt.args, "--dry-run")...)
			for _, c := range none {
				// One reads what it is given, the other what is checked out, and no more.
				if c != "release serving" && c != "git rev-parse" {
					t.Errorf("a dry run calls %s", c)
				}
			}
			for _, c := range called {
				if !slices.Contains(printed, c) {
					t.Errorf("%s is called and was not printed among %q", c, printed)
				}
			}
			for _, want := range tt.calls {
				if !slices.ContainsFunc(called, func(c string) bool { return strings.HasPrefix(c, want) }) {
					t.Errorf("%s is not called: %q", want, called)
				}
			}
		})
	}
}

// standIns runs a script with programs of our own and gives what it printed that it
// would call, or called, and which of them were called, each by its name and verb.
func standIns(t *testing.T, state, script string, args ...string) (printed, called []string) {
	t.Helper()
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	write(t, filepath.Dir(log), "log", "")
	aaa := "sha256:" + strings.Repeat("a", 64)
	if err := os.MkdirAll(filepath.Join(state, "bin"), 0o755); err != nil { //nolint:gosec // a folder of the test
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"gcloud": `case "$*" in
  *--format=json*) echo '{}' ;;
  *"services describe"*) echo https://tasks.example ;;
  *"services list"*) echo SERVICE ;; # as a dry run calls it
  *"images describe"*) echo ` + aaa + ` ;;
  *"clusters list"* | *print-access-token* | *"storage cat"*) echo word ;;
esac`,
		"docker": `[ "$1" != inspect ] || echo "europe-west1-docker.pkg.dev/coditect-staging/images/router@` + aaa + `"`,
		"pack":   `dir=${*: -1}; mkdir -p "$dir"; echo 'digest = "` + aaa + `"' >"$dir/report.toml"`,
		"git":    "", "terraform": "", "kubectl": "", "gh": "", "curl": "", "sleep": "",
		"bin/release": `[ "$1" != serving ] || echo before-1`,
		"bin/cosign":  "",
	} {
		file := filepath.Join(bin, name)
		if strings.HasPrefix(name, "bin/") {
			file = filepath.Join(state, name)
		}
		if err := os.WriteFile(file, []byte("#!/bin/bash\necho \"$(basename \"$0\") $*\" >>\"$LOG\"\n"+text+"\nexit 0\n"), 0o755); err != nil { //nolint:gosec // it is run
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", append([]string{"scripts/delivery/" + script}, args...)...) //nolint:gosec // a script of ours
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LOG="+log, "STATE="+state, "ENVIRONMENT=staging", "COMMIT=0123456789abcdef0123456789abcdef01234567", "BUILD_ID=",
		"SINCE=word", "PULL=7", "WHAT=something", "SLACK_WEBHOOK=https://hooks.example", "STATE_BUCKET=states",
		"TF_VAR_project_number=1", "TF_VAR_repository=a/b", "TF_VAR_base_domain=b.example", "TF_VAR_app_url=c", "TF_VAR_mail_from=d", "TF_VAR_emails=[]", "TF_VAR_billing_account=e")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", script, args, err, out)
	}
	raw, err := os.ReadFile(log) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if command, ok := strings.CutPrefix(line, "+ "); ok {
			printed = append(printed, verb(command))
		}
	}
	for line := range strings.Lines(string(raw)) {
		called = append(called, verb(line))
	}
	return printed, called
}

// verb is what a command is about: its program's name and the words that say what to do.
func verb(command string) string {
	words := strings.Fields(command)
	out, most := []string{filepath.Base(words[0])}, map[string]int{"gcloud": 4, "sleep": 0, "curl": 0}
	n, few := most[out[0]]
	if !few {
		n = 1
	}
	for _, w := range words[1:] {
		if len(out) <= n && !strings.HasPrefix(w, "-") {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}
