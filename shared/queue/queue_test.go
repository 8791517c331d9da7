package queue

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// Every kind of the platform has a consumer of functions.json, and every
// consumer limits that mean something.
func TestPlatform(t *testing.T) {
	t.Parallel()
	r, err := Platform()
	if err != nil {
		t.Fatal(err)
	}
	routes := r.Routes()
	if len(routes) != len(kinds) || len(routes) < 14 {
		t.Errorf("%d routes of %d kinds", len(routes), len(kinds))
	}
	for i, route := range routes {
		if i > 0 && routes[i-1].Kind >= route.Kind {
			t.Errorf("%s stands before %s", routes[i-1].Kind, route.Kind)
		}
		if found, ok := r.Route(route.Kind); !ok || found != route {
			t.Errorf("%s is not found", route.Kind)
		}
		receivers := r.Receivers(route.Kind)
		if route.Topic == "" && receivers != 1 || route.Topic != "" && receivers != len(r.Listeners(route.Topic)) {
			t.Errorf("%s has %d receivers", route.Kind, receivers)
		}
	}
	for _, c := range consumers {
		if c.MaxAttempts < 1 || c.MinBackoff <= 0 || c.MaxBackoff < c.MinBackoff || c.MaxAge < c.MaxBackoff || c.Concurrency < 1 || (c.Queue != "" && c.Rate <= 0) {
			t.Errorf("%+v", c)
		}
	}
	if _, ok := r.Route("nothing"); ok {
		t.Error("a kind that there is not was found")
	}
	if _, ok := r.Consumer("nobody"); ok {
		t.Error("a consumer that there is not was found")
	}
}

func TestNewRegistryRefuses(t *testing.T) {
	t.Parallel()
	worker, listener := Consumer{Name: "w", Queue: "q"}, Consumer{Name: "l", Topic: "t"}
	for name, c := range map[string]struct {
		routes    []Route
		consumers []Consumer
	}{
		"a consumer without a name":         {nil, []Consumer{{Queue: "q"}}},
		"a consumer twice":                  {nil, []Consumer{worker, worker}},
		"a consumer of nothing":             {nil, []Consumer{{Name: "x"}}},
		"a consumer of both":                {nil, []Consumer{{Name: "x", Queue: "q", Topic: "t"}}},
		"a kind without a name":             {[]Route{{Consumer: "w"}}, []Consumer{worker}},
		"a kind twice":                      {[]Route{{Kind: "k", Consumer: "w"}, {Kind: "k", Consumer: "w"}}, []Consumer{worker}},
		"a kind for nobody":                 {[]Route{{Kind: "k"}}, []Consumer{worker}},
		"a kind for a queue and a topic":    {[]Route{{Kind: "k", Consumer: "w", Topic: "t"}}, []Consumer{worker, listener}},
		"a kind for somebody without queue": {[]Route{{Kind: "k", Consumer: "l"}}, []Consumer{worker, listener}},
		"a kind whose consumer is not":      {[]Route{{Kind: "k", Consumer: "x"}}, []Consumer{worker}},
		"a topic that nobody listens to":    {[]Route{{Kind: "k", Topic: "x"}}, []Consumer{listener}},
	} {
		if _, err := NewRegistry(c.routes, c.consumers); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	tenant, user := ids.New(), ids.New()
	m := MailTaskAssigned.Message("key", Assignment{TaskID: tenant, UserID: user})
	payload, err := json.Marshal(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	e := Envelope{Version: Version, Kind: m.Kind, TenantID: tenant, ID: m.ID, Key: m.Key, Trace: "00-a", CreatedAt: time.Now().UTC(), Payload: payload}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(raw)
	if err != nil || got.ID != e.ID || got.TenantID != tenant || got.UserID != ids.Nil || got.Key != "key" || !got.CreatedAt.Equal(e.CreatedAt) || string(got.Payload) != string(payload) {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Owner() != tenant || got.ForPerson() {
		t.Error("a tenant's is a person's")
	}
	if strings.Contains(string(raw), "user_id\":\"0000") {
		t.Errorf("names nobody: %s", raw)
	}
	e.TenantID, e.UserID, e.Payload = ids.Nil, user, nil
	raw, _ = json.Marshal(e)
	if got, err = Parse(raw); err != nil || got.Owner() != user || !got.ForPerson() {
		t.Errorf("%+v, %v", got, err)
	}
	for name, change := range map[string]func(*Envelope){
		"no kind":     func(e *Envelope) { e.Kind = "" },
		"no id":       func(e *Envelope) { e.ID = ids.Nil },
		"no owner":    func(e *Envelope) { e.UserID = ids.Nil },
		"two owners":  func(e *Envelope) { e.TenantID = tenant },
		"no version":  func(e *Envelope) { e.Version = 0 },
		"one too new": func(e *Envelope) { e.Version = Version + 1 },
	} {
		bad := e
		change(&bad)
		raw, _ := json.Marshal(bad)
		if _, err := Parse(raw); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []string{"", "null", "[]", "{", `{"id": 7}`} {
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
