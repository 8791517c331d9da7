package outboxrelay

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/hop"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/serve"
)

// On AWS both kinds of message go to SQS: those of a topic to each listener's queue.
// Nothing of Google's is needed, and what SQS does not take waits.
func TestSQS(t *testing.T) {
	f := setup(t)
	var (
		mu   sync.Mutex
		has  = map[string][]ids.ID{}
		away atomic.Bool
	)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			QueueURL string `json:"QueueUrl"`
			Entries  []struct {
				ID   string `json:"Id"`
				Body string `json:"MessageBody"`
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		var done []map[string]string
		for _, e := range in.Entries {
			envelope, err := queue.Parse([]byte(e.Body))
			if err != nil {
				t.Error(err)
			}
			name := in.QueueURL[strings.LastIndexByte(in.QueueURL, '/')+1:]
			has[name] = append(has[name], envelope.ID)
			done = append(done, map[string]string{"Id": e.ID})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Successful": done})
	}))
	t.Cleanup(service.Close)
	for _, google := range []string{"GOOGLE_CLOUD_PROJECT", "TASKS_LOCATION", "PUSH_SERVICE_ACCOUNT"} {
		delete(f.Vars, google)
	}
	maps.Copy(f.Vars, map[string]string{
		"SQS_QUEUE_URL": service.URL + "/1/{name}", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
	})
	h := f.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return OpenWith(lookup, registry(t))
	})
	nudge := func() functest.Response {
		r := f.NewRequest(t, functest.Request{Method: http.MethodPost, Path: "/internal/relay/"})
		signature, err := f.Hops.Sign(t.Context(), http.MethodPost, "/internal/relay/", netip.Addr{}, "nudge-1")
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(hop.Header, signature)
		return serveHTTP(h, r)
	}
	away.Store(true)
	f.fill(t, f.owner.TenantID, mail.Kind, 2)
	f.fill(t, f.owner.TenantID, event.Kind, 1)
	nudge().Want(t, http.StatusServiceUnavailable)
	away.Store(false)
	f.SQL(t, `update app.outbox set available_at = now(), lease_until = null where tenant_id = $1`, f.owner.TenantID)
	if got := nudge().Want(t, http.StatusOK).Get(t, "handed_over"); got != 3.0 {
		t.Errorf("%v were handed over", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(has) != 2 || len(has["mailer"]) != 2 || len(has["listener"]) != 1 {
		t.Errorf("queues have %v", has)
	}
	// Without SQS, Google's services must be named.
	delete(f.Vars, "SQS_QUEUE_URL")
	if _, err := OpenWith(config.Map(f.Vars), registry(t)); err == nil || !strings.Contains(err.Error(), "TASKS_LOCATION") {
		t.Errorf("a relay that hands messages to nobody: %v", err)
	}
}
