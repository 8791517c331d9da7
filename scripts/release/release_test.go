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
