package split

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tenant"
	"github.com/coditect/platform/scripts/local/tools"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/tests/platform"
)

const root = "../../.."

// screen is what a person sees.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func home(t *testing.T) state.Home {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // The database's account must reach it.
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h, err := state.Open("", filepath.Join(dir, "home"))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// builds is where `make run-split` keeps its programs: what is there already
// need not be built again.
func builds(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, ".local", "split"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// start is `make run-split` in the background, until the function that it
// returns.
func start(t *testing.T, fleet *Fleet, out *screen) (url string, stop func()) {
	t.Helper()
	port := 0
	for p := 24000 + os.Getpid()%2000; port == 0; p++ {
		if state.Free(p) {
			port = p
		}
	}
	functions, err := deployables.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	functions = slices.DeleteFunc(functions, func(f deployables.Function) bool {
		return !slices.ContainsFunc(fleet.Programs.Functions, func(p Program) bool { return p.Name == f.Name })
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run.Run(ctx, run.Options{
			Home: fleet.Home, Out: out, Compose: fleet.Compose, Functions: functions, Lookup: config.Map(map[string]string{"PORT": strconv.Itoa(port)}),
			Tools: tools.Finder{PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: os.Getenv("CODITECT_TOOLS")},
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stopped with %v", err)
		}
	})
	t.Cleanup(stop)
	var ended error
	err = process.Poll(ctx, 2*time.Minute, func() bool {
		select {
		case ended = <-done:
			done <- ended
			return true
		default:
			return strings.HasSuffix(out.String(), "ready\n") || strings.Contains(out.String(), "\nready\n")
		}
	})
	if err != nil || !strings.Contains(out.String(), "\nready\n") {
		t.Fatalf("not ready: %v, %v\n%s", err, ended, out)
	}
	return "http://127.0.0.1:" + strconv.Itoa(port), stop
}

// played are the functions that these tests have a use for. Building the others
// takes minutes, and that each of them is built and starts is `make verify`'s to
// find out.
var played = []string{"activity", "auth", "mailer", "outboxrelay", "projects", "tasks", "tenants", "users"}

// absent are the other ones that the router wants to know an address of: this
// test's program in their place.
func absent(t *testing.T) []Program {
	t.Helper()
	list, err := deployables.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out []Program
	for _, f := range list {
		if f.Kind == deployables.KindHTTP && !slices.Contains(played, f.Name) {
			out = append(out, Program{Name: f.Name, Binary: self, Entry: f.Entry, Routed: true, Secrets: f.Secrets, Database: f.Database})
		}
	}
	return out
}

// Not parallel: its parts follow one another in the life of one run.
func TestSplit(t *testing.T) {
	if _, err := Build(t.Context(), root, builds(t), t.Output(), played...); err != nil {
		t.Fatal(err)
	}
	told := &screen{}
	programs, err := Build(t.Context(), root, builds(t), told, played...)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(told.String(), "unchanged"); n != len(programs.Functions) || n < 6 {
		t.Errorf("built twice:\n%s", told)
	}

	out := &screen{}
	programs.Functions = append(programs.Functions, absent(t)...)
	fleet := New(Options{Home: home(t), Programs: programs, Environ: append(os.Environ(), role+"=server"), Out: out})
	began := time.Now()
	url, stop := start(t, fleet, out)
	t.Logf("ready after %s", time.Since(began).Round(10*time.Millisecond))
	p := platform.At(url)

	t.Run("the journey", func(t *testing.T) { p.Journey(t) })
	t.Run("work behind the answers", func(t *testing.T) { background(t, url) })
	t.Run("both routers served it", func(t *testing.T) {
		for _, router := range []string{"router-1", "router-2"} {
			if n := served(out, router); n < 5 {
				t.Errorf("%s served %d requests", router, n)
			}
		}
	})
	one, two := platform.At(fleet.Address("router-1")), platform.At(fleet.Address("router-2"))
	t.Run("a session that ends at one router ends at the other", func(t *testing.T) {
		token := register(t, one)
		me := functest.Request{Method: http.MethodGet, Path: "/api/v1/users/me/", Token: token}
		two.Send(t, me).Want(t, http.StatusOK)
		one.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/logout/", Token: token, Body: map[string]any{}}).Want(t, http.StatusNoContent)
		gone := func() bool { return two.Send(t, me).Status == http.StatusUnauthorized }
		if err := process.Poll(t.Context(), 5*time.Second, gone); err != nil {
			t.Error("the other router believes in it after 5 s")
		}
	})
	t.Run("rights that are taken at one router are gone at the other", func(t *testing.T) { rights(t, fleet, one, two) })
	token := register(t, p)
	t.Run("a function that dies is missed and comes back", func(t *testing.T) {
		list := functest.Request{Method: http.MethodGet, Path: "/api/v1/tasks/", Token: token}
		p.Send(t, list).Want(t, http.StatusOK)
		missed := func() bool {
			if pid := fleet.PID("tasks"); pid != 0 {
				kill(t, pid) // Again, should it have come back between two looks.
			}
			got := p.Send(t, list)
			if got.Status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") == "" {
				t.Errorf("no Retry-After: %s", got.Body)
			}
			return got.Status == http.StatusServiceUnavailable
		}
		if err := process.Poll(t.Context(), 20*time.Second, missed); err != nil {
			t.Fatal("nobody missed it")
		}
		p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/projects/", Token: token}).Want(t, http.StatusOK)
		back := func() bool { return p.Send(t, list).Status == http.StatusOK }
		if err := process.Poll(t.Context(), 30*time.Second, back); err != nil {
			t.Fatalf("it does not come back:\n%s", out)
		}
		if !strings.Contains(out.String(), "tasks | ended (signal: killed): starting it again in") {
			t.Errorf("a person is not told:\n%s", out)
		}
	})
	t.Run("one router is enough", func(t *testing.T) {
		before := fleet.PID("router-1")
		kill(t, before)
		again := func() bool {
			p.Send(t, functest.Request{Method: http.MethodGet, Path: "/api/v1/users/me/", Token: token}).Want(t, http.StatusOK)
			pid := fleet.PID("router-1")
			return pid != 0 && pid != before
		}
		if err := process.Poll(t.Context(), 30*time.Second, again); err != nil {
			t.Fatalf("the router does not come back:\n%s", out)
		}
	})
	t.Run("the end leaves nothing", func(t *testing.T) {
		var pids []int
		for _, c := range fleet.children {
			pids = append(pids, c.number())
		}
		stop()
		for _, pid := range pids {
			if pid == 0 || len(process.Args(pid)) > 0 {
				t.Errorf("process %d", pid)
			}
		}
		if files, err := os.ReadDir(fleet.pids()); err != nil || len(files) > 0 {
			t.Errorf("left: %v, %v", files, err)
		}
	})
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH { //nolint:errorlint // A system call's own.
		t.Fatal(err)
	}
}

// served counts the requests in a router's log.
func served(out *screen, router string) (n int) {
	for line := range strings.Lines(out.String()) {
		text, ok := strings.CutPrefix(line, router+" | ")
		var entry struct{ Message string }
		if ok && json.Unmarshal([]byte(text), &entry) == nil && entry.Message == "request" {
			n++
		}
	}
	return n
}

func register(t *testing.T, p *platform.Platform) (token string) {
	t.Helper()
	return p.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/register/", Body: map[string]any{
		"email": ids.New().String() + "@example.com", "password": "correct horse battery", "first_name": "Ada", "last_name": "Lovelace",
		"subdomain": "s" + strings.ReplaceAll(ids.New().String(), "-", ""),
	}}).Want(t, http.StatusCreated).String(t, "access_token")
}

// rights takes a right from somebody, and then all of them, at one router, and
// looks at the other for what each function says. A role that is edited, and who
// is removed, are known everywhere within five seconds.
func rights(t *testing.T, fleet *Fleet, one, two *platform.Platform) {
	t.Helper()
	const password = "correct horse battery"
	join := func() (email, subdomain, token string) {
		email, subdomain = ids.New().String()+"@example.com", "s"+strings.ReplaceAll(ids.New().String(), "-", "")
		made := one.Send(t, functest.Request{Method: http.MethodPost, Path: "/api/v1/auth/register/", Body: map[string]any{
			"email": email, "password": password, "first_name": "Ada", "last_name": "Lovelace", "subdomain": subdomain,
		}}).Want(t, http.StatusCreated)
		return email, subdomain, made.String(t, "access_token")
	}
	_, subdomain, owner := join()
	email, _, guest := join()
	do := func(p *platform.Platform, token, method, path string, body any, status int) functest.Response {
		t.Helper()
		return p.Send(t, functest.Request{Method: method, Path: path, Token: token, Body: body}).Want(t, status)
	}
	system, ok := fleet.env.lookup("SYSTEM_DATABASE_URL")
	if !ok {
		t.Fatal("the fleet has no database")
	}
	// More requests than a free organization may make.
	if _, err := tenant.Do(t.Context(), system, []string{"plan", subdomain, "enterprise"}); err != nil {
		t.Fatal(err)
	}
	added, err := tenant.Do(t.Context(), system, []string{"add", subdomain, email, "manager"})
	if err != nil {
		t.Fatal(err)
	}
	guest = do(one, guest, http.MethodPost, "/api/v1/auth/switch-tenant/", map[string]any{"tenant_id": added.TenantID}, http.StatusOK).String(t, "access_token")

	// One of each function whose every operation demands a right.
	paths := []string{"/api/v1/tasks/", "/api/v1/projects/", "/api/v1/users/", "/api/v1/activity/"}
	follow := func(what string, status int) {
		t.Helper()
		deadline := time.Now().Add(5 * time.Second)
		for _, path := range paths {
			last, late := 0, false
			err := process.Poll(t.Context(), time.Minute, func() bool {
				late = time.Now().After(deadline) // What is asked then must be answered right.
				last = two.Send(t, functest.Request{Method: http.MethodGet, Path: path, Token: guest}).Status
				return last == status || late
			})
			if err != nil || last != status {
				t.Errorf("%s: %s answers %d after 5 s", what, path, last)
			}
		}
	}
	follow("a member", http.StatusOK)
	role := ""
	for _, r := range do(one, owner, http.MethodGet, "/api/v1/roles/", nil, http.StatusOK).Get(t, "results").([]any) {
		if r, ok := r.(map[string]any); ok && r["name"] == "manager" {
			role, _ = r["id"].(string)
		}
	}
	do(one, owner, http.MethodPut, "/api/v1/roles/"+role+"/", map[string]any{"name": "manager", "permissions": []string{}}, http.StatusOK)
	follow("whose role gives nothing any more", http.StatusForbidden)
	do(one, owner, http.MethodPatch, "/api/v1/users/"+added.UserID.String()+"/", map[string]any{"role": "viewer"}, http.StatusOK)
	follow("who has another role", http.StatusOK)
	do(one, owner, http.MethodDelete, "/api/v1/users/"+added.UserID.String()+"/", nil, http.StatusNoContent)
	follow("who was removed, and signed out", http.StatusUnauthorized)
}

// background registers somebody and waits for their mail: router, relay, queue,
// mailer, each a process, and the mailbox.
func background(t *testing.T, url string) {
	t.Helper()
	const to = "split@example.com"
	body := `{"email":"` + to + `","password":"correct horse battery","first_name":"Ada","last_name":"Lovelace"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/auth/register/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close() //nolint:errcheck // Its status is all that matters.
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("register: %s", resp.Status)
	}
	var last string
	err = process.Poll(t.Context(), 30*time.Second, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/_local/mail/api/messages/?to="+to, http.NoBody)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			last = err.Error()
			return false
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		last = string(raw)
		return err == nil && strings.Contains(last, "Verify your address")
	})
	if err != nil {
		t.Errorf("no mail: %v\n%s", err, last)
	}
}
