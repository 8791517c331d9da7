package release

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/deployables"
)

func TestReasons(t *testing.T) {
	t.Parallel()
	links := folders([]byte("# a comment\ngithub.com/coditect/platform/functions/tasks\ngithub.com/coditect/platform/shared/db\ngithub.com/jackc/pgx/v5\n"))
	for _, tt := range []struct {
		file    string
		changes bool
	}{
		{"functions/tasks/create.go", true},
		{"functions/tasks/go.sum", true},
		{"functions/tasks/words/list.txt", true}, // embedded
		{"shared/db/tx.go", true},
		{"shared/db/sql/a.sql", true},
		{"scripts/staging/zip.go", true},
		{"functions/tasks/create_test.go", false},
		{"functions/tasks/README.md", false},
		{"functions/tasks/deps.txt", false},
		{"functions/tasks/testdata/x.json", false},
		{"functions/tasks/cmd/main.go", false}, // not in the archive's package
		{"functions/users/create.go", false},
		{"shared/mail/smtp.go", false},
		{"shared/dbtest/dbtest.go", false},
		{"docs/jobs.md", false},
		{"Makefile", false},
	} {
		if got := reasons("functions/tasks", links, []string{tt.file}); (got != "") != tt.changes {
			t.Errorf("%s: %q", tt.file, got)
		}
	}
}

// TestSince changes a clone of this repository's own files, one at a time.
func TestSince(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	root := clone(t)
	base := head(t, root)
	for _, tt := range []struct {
		file, add   string
		deploy      []string
		notDeployed []string
		tested      string
	}{
		{"functions/tasks/tasks_extra.go", "package tasks\n", []string{"tasks"}, []string{"users", "router", "migrate"}, "./functions/tasks/..."},
		{"shared/mail/extra.go", "package mail\n", []string{"mailer"}, []string{"tasks"}, "./shared/..."},
		{"router/extra.go", "package router\n", []string{"router"}, []string{"tasks", "migrate"}, "./router/..."},
		{"migrations/sql/9999_extra.sql", "-- nothing\n", []string{"migrate"}, []string{"router"}, "./migrations/..."},
		{"docs/extra.md", "words\n", nil, []string{"tasks", "router", "migrate"}, ""},
	} {
		write(t, root, tt.file, tt.add)
		commit(t, root)
		c, err := Since(ctx, root, base)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range tt.deploy {
			if c.Deploy[name] != tt.file {
				t.Errorf("%s: %s is deployed because of %q", tt.file, name, c.Deploy[name])
			}
		}
		for _, name := range tt.notDeployed {
			if why, ok := c.Deploy[name]; ok {
				t.Errorf("%s: %s is deployed because of %s", tt.file, name, why)
			}
		}
		if tt.tested != "" && (!slices.Contains(c.Tests, tt.tested) || !slices.Contains(c.Tests, "./tests/...")) {
			t.Errorf("%s: tests %v", tt.file, c.Tests)
		}
		if tt.tested == "" && len(c.Tests) > 0 {
			t.Errorf("%s: words are tested by %v", tt.file, c.Tests)
		}
		base = head(t, root)
	}
	for _, unknown := range []string{"", "0123456789012345678901234567890123456789"} {
		c, err := Since(ctx, root, unknown)
		if err != nil || len(c.Deploy) < 10 || !slices.Equal(c.Tests, []string{"all"}) {
			t.Errorf("since %q: %d to deploy, %v to test, %v", unknown, len(c.Deploy), c.Tests, err)
		}
	}
}

// clone copies what the question reads of this repository into one of its own.
func clone(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "-C", "../..", "ls-files", "-z", "functions", "schedulers", "shared", "router", "migrations", "go.work").Output(); err != nil {
		t.Fatal(err)
	} else {
		for _, f := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
			raw, err := os.ReadFile(filepath.Join("../..", f))
			if os.IsNotExist(err) {
				continue // deleted, not yet committed
			} else if err != nil {
				t.Fatal(err)
			}
			write(t, root, f, string(raw))
		}
	}
	gitIn(t, root, "init", "-q")
	commit(t, root)
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	file := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func gitIn(t *testing.T, root string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"}, args...)...) //nolint:gosec // git on a folder of the test
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func commit(t *testing.T, root string) {
	t.Helper()
	gitIn(t, root, "add", "-A")
	gitIn(t, root, "commit", "-q", "-m", "a change")
}

func head(t *testing.T, root string) string { t.Helper(); return gitIn(t, root, "rev-parse", "HEAD") }

func TestContracts(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"drop table app.tasks;":                                                                    "takes away",
		"alter table app.tasks drop column title;":                                                 "takes away",
		"alter table app.tasks drop title;":                                                        "takes away",
		"alter table app.tasks rename column title to name;":                                       "old name",
		"alter table app.tasks rename title to name;":                                              "old name",
		"alter table app.tasks rename to todos;":                                                   "old name",
		"alter table app.tasks alter column title type varchar;":                                   "old type",
		"alter table app.tasks alter column title set data type int;":                              "old type",
		"alter table app.tasks alter column title set not null;":                                   "write null",
		"alter table app.tasks alter column title drop default;":                                   "default",
		"alter table app.tasks add column due date not null;":                                      "new column",
		"revoke update on app.tasks from coditect_app;":                                            "right",
		"truncate app.tasks;":                                                                      "deletes rows",
		"alter table app.tasks add column due date;":                                               "",
		"alter table app.tasks add column due int not null default 0;":                             "",
		"alter table app.tasks drop constraint tasks_check;":                                       "",
		"alter table app.tasks alter column title drop not null;":                                  "",
		"drop index app.tasks_idx;":                                                                "",
		"create table app.labels (id uuid);":                                                       "",
		"create table app.labels (id uuid);\nalter table app.labels alter column id set not null;": "",
	} {
		got := strings.Join(contracts("-- +goose Up\n"+sql+"\n-- +goose Down\ndrop table app.tasks;\n"), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q", sql, got)
		}
	}
}

func TestExpands(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	gitIn(t, root, "init", "-q")
	write(t, root, "migrations/sql/0001_a.sql", "-- +goose Up\ncreate table a (b int);\n")
	commit(t, root)
	base := head(t, root)
	check := func(want string) {
		t.Helper()
		faults, err := Expands(t.Context(), root, base)
		if got := strings.Join(faults, "\n"); err != nil || want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("want %q: %q, %v", want, got, err)
		}
	}
	check("")
	write(t, root, "migrations/sql/0002_c.sql", "-- +goose Up\nalter table a drop column b;\n")
	check("0002_c.sql: takes away")
	write(t, root, "migrations/sql/0002_c.sql", "-- contract: "+base[:12]+" nothing reads b since then\n-- +goose Up\nalter table a drop column b;\n")
	check("")
	commit(t, root)
	write(t, root, "migrations/sql/0003_d.sql", "-- contract: "+head(t, root)[:12]+" not released\n-- +goose Up\ndrop table a;\n")
	check("not released yet")
	write(t, root, "migrations/sql/0001_a.sql", "-- +goose Up\ncreate table a (b text);\n")
	check("0001_a.sql: was released")
}

// monitoring answers each query with the value that it is given; "" is no series.
func monitoring(t *testing.T, status int, value func(query string) string) Monitor {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" || !strings.HasPrefix(r.URL.Path, "/v1/projects/p/") {
			t.Errorf("asked %s", r.URL.Path)
		}
		w.WriteHeader(status)
		result := []any{}
		if v := value(r.URL.Query().Get("query")); v != "" {
			result = append(result, map[string]any{"metric": map[string]string{}, "value": []any{1, v}})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "vector", "result": result}})
	}))
	t.Cleanup(server.Close)
	return Monitor{Client: server.Client(), Endpoint: server.URL, Project: "p", Token: "secret"}
}

func TestHealthy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		requests, failed, latency string
		status                    int
		background                bool
		want                      string
	}{
		"well":                         {"1000", "14", "400", 200, false, ""},
		"none in the window":           {"", "", "NaN", 200, false, ""},
		"one of few":                   {"3", "1", "80", 200, false, ""},
		"two of few":                   {"3", "2", "80", 200, false, "2 of 3 answers failed"},
		"too many":                     {"1000", "15", "400", 200, false, "15 of 1000 answers failed, 14 may"},
		"slow":                         {"1000", "0", "501", 200, false, "95 of 100 answers take up to 501ms, 500ms is promised"},
		"slow and just enough to tell": {"20", "0", "501", 200, false, "501ms"},
		"slow and too few to tell":     {"19", "0", "2000", 200, false, ""},
		"slow and nobody waits":        {"1000", "0", "60000", 200, true, ""},
		"failing in the background":    {"1000", "15", "1", 200, true, "15 of 1000"},
		"monitoring fails":             {"1000", "0", "1", 503, false, "answered 503"},
		"nonsense":                     {"many", "0", "1", 200, false, "monitoring"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := monitoring(t, tt.status, func(q string) string {
				if !strings.Contains(q, `service_name="tasks",revision_name="tasks-r-1"`) || !strings.Contains(q, "[480s]") {
					t.Errorf("asked for %s", q)
				}
				switch {
				case strings.Contains(q, "5xx"):
					return tt.failed
				case strings.Contains(q, "0.95"):
					return tt.latency
				}
				return tt.requests
			})
			_, err := m.Healthy(t.Context(), Revision{"tasks", "tasks-r-1"}, Promised(8*time.Minute, !tt.background))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestFiguresAreAwaited has figures that are late, and some that never come.
func TestFiguresAreAwaited(t *testing.T) {
	t.Parallel()
	revisions := []Revision{{"tasks", "tasks-r-1"}, {"users", "users-r-1"}}
	var mu sync.Mutex
	asked := map[string]int{}
	late := func(q string) string {
		mu.Lock()
		defer mu.Unlock()
		if asked[q]++; asked[q] < 3 {
			return ""
		}
		return "0.98"
	}
	if err := monitoring(t, 200, late).Await(t.Context(), revisions, time.Minute, time.Millisecond); err != nil {
		t.Error(err)
	}
	if len(asked) != 3 { // two revisions, and whether there is anything of the window
		t.Errorf("asked %v", asked)
	}
	for silent, want := range map[string]string{"users-r-1": "the smoke test of users-r-1", "[60s]": "any request of the last 1m0s"} {
		ctx, cancel := context.WithCancel(t.Context())
		questions := 0
		err := monitoring(t, 200, func(q string) string {
			if !strings.Contains(q, silent) {
				return "1"
			}
			mu.Lock()
			defer mu.Unlock()
			if questions++; questions == 3 {
				cancel()
			}
			return "0"
		}).Await(ctx, revisions, time.Minute, time.Millisecond)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "monitoring does not show "+want) || strings.Contains(err.Error(), "tasks-r-1") {
			t.Errorf("%s: %v", silent, err)
		}
	}
	if err := monitoring(t, 503, func(string) string { return "1" }).Await(t.Context(), revisions, time.Minute, time.Millisecond); err == nil || !strings.Contains(err.Error(), "answered 503") {
		t.Errorf("monitoring fails: %v", err)
	}
}

func TestServing(t *testing.T) {
	t.Parallel()
	got, err := Serving(strings.NewReader(`{"status":{"traffic":[{"revisionName":"new","tag":"r-2"},{"revisionName":"old","percent":100}]}}`))
	if err != nil || got != "old" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{`{"status":{"traffic":[{"revisionName":"a","percent":95},{"revisionName":"b","percent":5}]}}`, `{}`, `no`} {
		if got, err := Serving(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		ours    bool
	}{
		"router": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) }, true},
		"function": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnauthorized)
		}, true},
		"failing": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
		}, false},
		"somebody":   {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }, false},
		"not let in": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Serverless-Authorization") != "Bearer who" {
					t.Error("comes without a token")
				}
				tt.handler(w, r)
			}))
			defer server.Close()
			if err := Answers(t.Context(), server.Client(), server.URL+"/", "who"); (err == nil) != tt.ours {
				t.Error(err)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" || r.URL.Query().Get("audience") != "https://tasks.example" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte("a.b.c\n"))
	}))
	defer server.Close()
	if got, err := Identity(t.Context(), server.Client(), server.URL, "https://tasks.example"); err != nil || got != "a.b.c" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Identity(t.Context(), server.Client(), server.URL, "https://other.example"); err == nil {
		t.Error("a refusal is a token")
	}
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	text, err := Provenance(Build{ID: "b1", Repository: "https://github.com/coditect/platform", Commit: "c1", Builder: "https://builder", Name: "tasks"})
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		BuildDefinition struct {
			BuildType            string
			ExternalParameters   map[string]string
			ResolvedDependencies []struct {
				URI    string
				Digest map[string]string
			}
		}
		RunDetails struct {
			Builder  struct{ ID string }
			Metadata struct{ InvocationID string }
		}
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	if d := p.BuildDefinition.ResolvedDependencies; len(d) != 1 || d[0].Digest["gitCommit"] != "c1" || d[0].URI != "git+https://github.com/coditect/platform" {
		t.Errorf("from %v", d)
	}
	if p.RunDetails.Builder.ID != "https://builder" || p.RunDetails.Metadata.InvocationID != "b1" || p.BuildDefinition.ExternalParameters["image"] != "tasks" {
		t.Errorf("%s", text)
	}
}

// script runs one of scripts/delivery with a gcloud of our own, and gives what it
// was called with, the calls that change something only.
func script(t *testing.T, state string, gcloud string, healthy bool, name string, args ...string) (calls string, ok bool) {
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
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "LOG="+log, "LIST="+filepath.Join(state, "registry.json"), "STATE="+state, "ENVIRONMENT=staging", "COMMIT=0123456789abcdef0123456789abcdef01234567", "BUILD_ID=")
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
	calls, ok := script(t, changed(t, "tasks", "router"), "", true, "shift.sh", "functions")
	if !ok {
		t.Error("failed")
	}
	at := 0
	for _, want := range []string{"r-0123456789ab=5 ", "healthy tasks=tasks-r-0123456789ab", "r-0123456789ab=50 ", "healthy", "r-0123456789ab=100 ", "healthy"} {
		i := strings.Index(calls[at:], want)
		if i < 0 {
			t.Fatalf("no %q after %d of\n%s", want, at, calls)
		}
		at += i + len(want)
	}
	if strings.Contains(calls, "router") || strings.Contains(calls, "before") {
		t.Errorf("touched what it should not:\n%s", calls)
	}
}

func TestTrafficGoesBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		gcloud  string
		healthy bool
	}{
		"not healthy":          {"", false},
		"a command that fails": {`[[ "$*" != *=50* ]]` + "\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, ok := script(t, changed(t, "tasks", "users"), tt.gcloud, tt.healthy, "shift.sh", "functions")
			if ok {
				t.Error("is said to have worked")
			}
			for _, want := range []string{"update-traffic tasks", "--to-revisions=tasks-before=100", "--to-revisions=users-before=100"} {
				if !strings.Contains(calls, want) {
					t.Errorf("no %q in\n%s", want, calls)
				}
			}
			if strings.Contains(calls, "=100 --quiet") && strings.Contains(calls, "--to-tags=r-0123456789ab=100") {
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
	for _, want := range []string{"update-traffic router", "--to-tags=r-0123456789ab=5 ", "--to-revisions=router-before=100", "--to-revisions=tasks-before=100", "--to-revisions=users-before=100"} {
		i := strings.Index(calls[at:], want)
		if i < 0 {
			t.Fatalf("no %q after %d of\n%s", want, at, calls)
		}
		at += i
	}
	if strings.Contains(calls, "tasks --project=coditect-staging --region=europe-west1 --to-tags") {
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

func TestDeployedWithoutTrafficByDigest(t *testing.T) {
	t.Parallel()
	state := changed(t, "tasks")
	calls, ok := script(t, state, "", true, "deploy.sh", "tasks")
	for _, want := range []string{"run services update tasks", "--no-traffic", "--tag=r-0123456789ab", "--image=registry/tasks@sha256:aaaa"} {
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
		"jobs execute migrate", "--no-traffic", "jobs execute smoke", "=5 --quiet", "+ gcloud auth print-access-token", "+ release healthy", "=50 --quiet", "=100 --quiet", "+ gcloud storage cp",
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
		"TF_VAR_project_number=1", "TF_VAR_repository=a/b", "TF_VAR_base_domain=b", "TF_VAR_app_url=c", "TF_VAR_mail_from=d", "TF_VAR_emails=[]", "TF_VAR_billing_account=e")
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
