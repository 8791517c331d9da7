package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/scripts/bench/capture"
	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/trips"
)

// Trips are the round trips of an operation once its caches are warm.
type Trips struct {
	Line            string
	Postgres, Redis int
}

// fixedKeys are the keys of one file.
type fixedKeys struct{ set *identity.KeySet }

// Get is identity.KeySource's.
func (k fixedKeys) Get(context.Context) (*identity.KeySet, error) { return k.set, nil }

func signingKeys(_ context.Context, dir string) (identity.KeySource, error) {
	text, err := os.ReadFile(filepath.Join(dir, secrets.SigningKeys))
	if err != nil {
		return nil, err
	}
	set, err := identity.ParseKeySet(text)
	return fixedKeys{set}, err
}

// record opens the functions in this process, behind a recorder, asks each of
// them what the lines will ask, and takes down what they send and how often
// they go out.
func (p *platform) record(ctx context.Context) error {
	r, err := capture.Listen(p.env("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // read by now
	apps, err := all.Open(ctx, func(name string) (string, bool) {
		switch name {
		case "DATABASE_URL":
			return r.URL, true
		case "LOG_LEVEL":
			return "warn", true
		}
		for _, limit := range limits {
			if value, ok := strings.CutPrefix(limit, name+"="); ok {
				return value, true
			}
		}
		return p.lookup(name)
	})
	if err != nil {
		return err
	}
	defer apps.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is under way

	key := p.o.Size.Keys(1)[0]
	known := map[string]string{
		"tenant": stage.Tenant(key.Tenant).String(), "user": stage.User(key.Tenant, 0).String(),
		"project": stage.Project(key.Tenant, key.Project).String(), "task": stage.Task(key.Tenant, key.Project, key.Task).String(),
	}
	refresh := p.cast.Refresh[0]
	for _, l := range lines {
		if l.request == nil {
			continue
		}
		var exchange capture.Exchange
		for range 2 { // the first fills the caches
			in := l.request(p, key, &refresh)
			if _, err := r.Take(nil); err != nil && !errors.Is(err, capture.ErrNothing) {
				return err
			}
			counting, count := trips.Count(ctx)
			req := httptest.NewRequestWithContext(counting, in.method, in.path, strings.NewReader(in.body))
			for name, value := range in.header() {
				req.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			apps.Handler(l.function).ServeHTTP(w, req)
			if w.Code != in.want {
				return fmt.Errorf("%s: status %d: %s", l.name, w.Code, w.Body)
			}
			if l.name == "refresh" {
				if refresh, err = refreshToken(w.Body.Bytes()); err != nil {
					return err
				}
			}
			if exchange, err = r.Take(known); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			p.trips = append(dropTrips(p.trips, l.name), Trips{l.name, count.Postgres(), count.Redis()})
		}
		switch l.name {
		case "list":
			p.does.List = exchange
		case "get":
			p.does.Get = exchange
		case "create":
			p.does.Create = exchange
		}
	}
	p.cast.Refresh[0] = refresh
	return nil
}

func dropTrips(in []Trips, line string) []Trips {
	var out []Trips
	for _, t := range in {
		if t.Line != line {
			out = append(out, t)
		}
	}
	return out
}

// request is one of a line, before it is bytes.
type request struct {
	method, path, token, body string
	want                      int
}

func (r request) header() map[string]string {
	h := map[string]string{"Host": "localhost"}
	if r.token != "" {
		h["Authorization"] = "Bearer " + r.token
	}
	if r.body != "" {
		h["Content-Type"] = "application/json"
	}
	return h
}

// bytes are the request as it goes over the wire.
func (r request) bytes() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\n", r.method, r.path)
	for _, name := range []string{"Authorization", "Content-Type"} {
		if value, ok := r.header()[name]; ok {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	if r.method != http.MethodGet {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n" + r.body)
	return []byte(b.String())
}
