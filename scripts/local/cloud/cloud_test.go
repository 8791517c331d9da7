package cloud

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/queue/push"
	"github.com/coditect/platform/shared/queue/tasks"
)

const address = "127.0.0.1:"

func functions() []deployables.Function {
	retry := deployables.Retry{MaxAttempts: 5, MinBackoff: "1s", MaxBackoff: "1m", MaxAge: "24h"}
	return []deployables.Function{
		{Name: "api", Kind: deployables.KindHTTP},
		{Name: "mailer", Kind: deployables.KindTask, Queue: &deployables.Queue{Retry: retry, Name: "mail", Rate: 100, Concurrency: 5}},
		{Name: "listener", Kind: deployables.KindPubSub, Topic: "events", Retry: &retry, Resources: deployables.Resources{Timeout: "30s"}},
	}
}

// free starts the services on some port.
func free(t *testing.T, o Options) (*Cloud, string) {
	t.Helper()
	for port := 23000; port < 32000; port++ {
		c, err := Start(port, o)
		if errors.Is(err, state.ErrPortTaken) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		return c, address + strconv.Itoa(port)
	}
	t.Fatal("no free port")
	return nil, ""
}

// A task reaches its function with a token that the function's door lets in,
// and a schedule does.
func TestTasksAndSchedules(t *testing.T) {
	t.Parallel()
	c, at := free(t, Options{Project: "p", Functions: functions(), Log: slog.New(slog.DiscardHandler)})
	issuer := httptest.NewServer(c.Handler())
	t.Cleanup(issuer.Close)
	got := make(chan string, 4)
	var door *push.Door
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-CloudScheduler") != "" {
			if err := door.Verify(r.Context(), r.Header); err != nil {
				t.Errorf("the schedule is not let in: %v", err)
			}
			got <- r.Header.Get("X-CloudScheduler-ScheduleTime")
			if r.Header.Get("X-CloudScheduler-JobName") == "fails" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		d, err := door.Receive(w, r)
		if err != nil {
			t.Errorf("the task is not let in: %v", err)
		}
		got <- d.Envelope.Kind
	}))
	t.Cleanup(function.Close)
	cfg, err := config.Load[push.Config](config.Map(map[string]string{
		"PUSH_AUDIENCE": function.URL, "PUSH_ISSUER": Issuer, "PUSH_JWKS_URL": issuer.URL + KeysPath, "PUSH_SERVICE_ACCOUNTS": ServiceAccount,
	}))
	if err != nil {
		t.Fatal(err)
	}
	door = push.New(cfg, "mailer")

	send := tasks.New(tasks.Config{Project: "p", Location: Location, Endpoint: at, ServiceAccount: ServiceAccount, Concurrency: 1})
	t.Cleanup(func() { _ = send.Close() })
	if err := c.Call(t.Context(), time.Now(), "early", function.URL); !errors.Is(err, errNotYet) {
		t.Errorf("before the functions are there: %v", err)
	}
	if err := c.Connect(t.Context(), http.DefaultTransport, func(string) string { return function.URL }); err != nil {
		t.Fatal(err)
	}
	e := queue.Envelope{Version: queue.Version, Kind: "mail.digest", TenantID: ids.New(), ID: ids.New(), CreatedAt: time.Now()}
	for _, err := range send.Deliver(t.Context(), []queue.Handover{{Envelope: e, Number: 1, Consumer: queue.Consumer{Name: "mailer", Queue: "mail"}, URL: function.URL}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if kind := receive(t, got); kind != "mail.digest" {
		t.Errorf("the task carried %q", kind)
	}
	slot := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	if err := c.Call(t.Context(), slot, "digest", function.URL); err != nil {
		t.Error(err)
	}
	if at := receive(t, got); at != "2026-11-24T08:00:00Z" {
		t.Errorf("the schedule was for %q", at)
	}
	if err := c.Call(t.Context(), slot, "fails", function.URL); err == nil {
		t.Error("a failure was taken for success")
	}
}

func receive(t *testing.T, from chan string) (out string) {
	t.Helper()
	err := process.Poll(t.Context(), 20*time.Second, func() bool {
		select {
		case out = <-from:
			return true
		default:
			return false
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestStartAndConnectRefuse(t *testing.T) {
	t.Parallel()
	c, at := free(t, Options{Project: "p", Log: slog.New(slog.DiscardHandler)})
	port, err := strconv.Atoi(strings.TrimPrefix(at, address))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(port, Options{Project: "p", Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, state.ErrPortTaken) {
		t.Errorf("a taken port: %v", err)
	}
	for i, change := range []func(*deployables.Function){
		func(f *deployables.Function) { f.Queue.MinBackoff = "soon" },
		func(f *deployables.Function) { f.Queue.MaxBackoff = "late" },
	} {
		list := functions()
		change(&list[1])
		c.Functions = list
		if err := c.Connect(context.Background(), http.DefaultTransport, func(string) string { return "http://x" }); err == nil {
			t.Errorf("%d: taken", i)
		}
	}
}
