package functest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/outbox"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/standin/oidc"
)

// ServiceAccount is what the tests' queues call functions as.
const ServiceAccount = "queues@local.iam.gserviceaccount.com"

// platform signs the tokens of queues and schedules for all tests of a process,
// as making its key takes long.
var platform = sync.OnceValues(func() (*oidc.Issuer, error) { return oidc.New("https://issuer.test") })

// Enqueue puts a message into the outbox of a tenant or, with ids.Nil, of the
// person, as the relay would find it.
func (e *Env) Enqueue(t testing.TB, tenant, user ids.ID, m outbox.Message) queue.Envelope {
	t.Helper()
	payload := json.RawMessage("{}")
	if m.Payload != nil {
		var err error
		if payload, err = json.Marshal(m.Payload); err != nil {
			t.Fatal(err)
		}
	}
	env := queue.Envelope{Version: queue.Version, Kind: m.Kind, ID: m.ID, Key: m.Key, CreatedAt: time.Now().UTC(), Payload: payload}
	if tenant != ids.Nil {
		env.TenantID = tenant
		e.SQL(t, `insert into app.outbox (tenant_id, id, kind, key, payload) values ($1, $2, $3, $4, $5)`, tenant, m.ID, m.Kind, m.Key, string(payload))
	} else {
		env.UserID = user
		e.SQL(t, `insert into app.user_outbox (user_id, id, kind, key, payload) values ($1, $2, $3, $4, $5)`, user, m.ID, m.Kind, m.Key, string(payload))
	}
	return env
}

// Pending gives the messages of a kind that are not done, of every tenant and
// person, the oldest first.
func (e *Env) Pending(t testing.TB, kind string) []queue.Envelope {
	t.Helper()
	var raw string
	e.Scan(t, `select coalesce(json_agg(m order by m.created_at, m.id), '[]')::text from (
		select 1 as version, kind, tenant_id, null::uuid as user_id, id, key, trace, created_at, payload from app.outbox where kind = $1 and done_at is null
		union all
		select 1, kind, null, user_id, id, key, trace, created_at, payload from app.user_outbox where kind = $1 and done_at is null) m`, []any{kind}, &raw)
	var out []queue.Envelope
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Deliver posts a message to the handler of the job function called name, as
// Cloud Tasks does on the given attempt (the first is 1).
func (e *Env) Deliver(t testing.TB, h http.Handler, name string, m queue.Envelope, attempt int) Response {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	r := e.push(t, name, string(body))
	r.Header.Set("X-CloudTasks-TaskName", m.ID.String())
	r.Header.Set("X-CloudTasks-TaskRetryCount", strconv.Itoa(attempt-1))
	return record(h, r)
}

// Publish posts an event to the handler of a listener, as Pub/Sub does.
func (e *Env) Publish(t testing.TB, h http.Handler, name string, m queue.Envelope, attempt int) Response {
	t.Helper()
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{
		"subscription": "projects/local/subscriptions/" + name, "deliveryAttempt": attempt,
		"message": map[string]any{"data": data, "messageId": m.ID.String(), "attributes": map[string]string{"kind": m.Kind}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return record(h, e.push(t, name, string(body)))
}

// Trigger posts what Cloud Scheduler does to the handler of a schedule.
func (e *Env) Trigger(t testing.TB, h http.Handler, name string, at time.Time) Response {
	t.Helper()
	r := e.push(t, name, "{}")
	r.Header.Set("X-CloudScheduler", "true")
	r.Header.Set("X-CloudScheduler-ScheduleTime", at.Format(time.RFC3339Nano))
	return record(h, r)
}

func (e *Env) push(t testing.TB, name, body string) *http.Request {
	t.Helper()
	issuer, err := platform()
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.Token(ServiceAccount, "http://"+name)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func record(h http.Handler, r *http.Request) Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
}
