package rotation

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/schedule"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/secrets/manager"
	"github.com/coditect/platform/shared/serve"
	"github.com/coditect/platform/shared/standin/secretmanager"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names = []string{secrets.SigningKeys, secrets.HopKey, secrets.CursorKey, secrets.EnvelopeKeys}
)

// manage serves Secret Manager's API over one key for each secret.
func manage(t *testing.T) (*manager.Source, string) {
	t.Helper()
	values := map[string][]byte{}
	for _, name := range names {
		var keys json.Marshaler = secrets.GenerateRing(start)
		if name == secrets.SigningKeys {
			keys = identity.GenerateKeySet(start)
		}
		data, err := keys.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		values[name] = data
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterSecretManagerServiceServer(server, secretmanager.New("local", values))
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Stop(); served.Wait() })
	source := manager.New(manager.Config{Project: "local", Endpoint: l.Addr().String()})
	t.Cleanup(func() { _ = source.Close() })
	return source, l.Addr().String()
}

// kids lists the ids of the latest version's keys, and the one in use.
func kids(t *testing.T, from secrets.Source, name string, now time.Time) (version string, all []string, current string) {
	t.Helper()
	p, err := from.Fetch(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(p.Data, &set); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		all = append(all, k.Kid)
	}
	if name == secrets.SigningKeys {
		keys, err := identity.ParseKeySet(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		return p.Version, all, keys.Current(now).ID
	}
	ring, err := secrets.ParseRing(p.Data)
	if err != nil {
		t.Fatal(err)
	}
	return p.Version, all, ring.Current(now).ID
}

// Day by day for a year: a key is followed when it is old enough, by one that
// counts after every instance has read it, and every key outlives what it made.
func TestYear(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	source, endpoint := manage(t)
	e.Vars["SECRETS_ENDPOINT"] = endpoint
	now := start
	h := e.Open(t, func(_ context.Context, lookup config.Lookup) (*serve.App, error) {
		return open(lookup, schedule.WithPlan(schedule.Plan{Name: Name, MaxLateness: time.Hour}), schedule.WithClock(func() time.Time { return now }))
	})
	rotations := map[string]int{}
	for range 365 {
		now = now.AddDate(0, 0, 1)
		before := map[string]string{}
		for _, name := range names {
			_, _, before[name] = kids(t, source, name, now)
		}
		e.Trigger(t, h, Name, now).Want(t, http.StatusOK)
		e.Trigger(t, h, Name, now.Add(time.Second)).Want(t, http.StatusOK) // by hand, once more
		for _, name := range names {
			_, all, current := kids(t, source, name, now)
			if current != before[name] {
				t.Fatalf("%s: on %s a key was in use at once", name, now.Format(time.DateOnly))
			}
			if _, _, later := kids(t, source, name, now.Add(time.Hour)); later != current {
				rotations[name]++
				if all[1] != current {
					t.Errorf("%s: on %s the key in use was dropped", name, now.Format(time.DateOnly))
				}
			}
		}
	}
	want := map[string][2]int{secrets.SigningKeys: {11, 2}, secrets.HopKey: {11, 2}, secrets.CursorKey: {4, 2}, secrets.EnvelopeKeys: {4, 5}}
	for _, name := range names {
		if _, all, _ := kids(t, source, name, now); rotations[name] != want[name][0] || len(all) != want[name][1] {
			t.Errorf("%s: %d rotations left %d keys, want %v", name, rotations[name], len(all), want[name])
		}
	}
}

// racing lets another run rotate between this one's look and its write.
type racing struct {
	keeper
	before func()
	once   sync.Once
	fail   error
}

func (r *racing) Add(ctx context.Context, name string, data []byte) (string, error) {
	r.once.Do(r.before)
	if r.fail != nil {
		return "", r.fail
	}
	return r.keeper.Add(ctx, name, data)
}

// Two runs at once, which no lease kept apart, end with the keys of both.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, _ := manage(t)
			now := start.AddDate(0, 6, 0)
			run := &schedule.Run{Now: now}
			var between []string
			slow := &service{names: []string{name}, keeper: &racing{keeper: source, before: func() {
				fast := &service{names: []string{name}, keeper: source}
				if err := fast.run(t.Context(), run); err != nil {
					t.Error(err)
				}
				_, between, _ = kids(t, source, name, now)
			}}}
			_, first, _ := kids(t, source, name, now)
			if err := slow.run(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			version, all, current := kids(t, source, name, now)
			if len(between) != 2 || len(all) != 3 || version != "4" || current != first[0] {
				t.Errorf("version %s has %v, %s in use; it was %v, then %v", version, all, current, first, between)
			}
			for _, kid := range between {
				if !slices.Contains(all, kid) {
					t.Errorf("key %s is lost", kid)
				}
			}
			if err := slow.run(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			if again, _, _ := kids(t, source, name, now); again != version {
				t.Errorf("the next run made version %s", again)
			}
		})
	}
}

// A secret that fails is told of, keeps no other from its turn, and is rotated
// by the next run.
func TestOneFails(t *testing.T) {
	t.Parallel()
	source, _ := manage(t)
	now := start.AddDate(0, 6, 0)
	broken := errors.New("quota")
	bad := &service{names: []string{secrets.HopKey}, keeper: &racing{keeper: source, before: func() {}, fail: broken}}
	if err := bad.run(t.Context(), &schedule.Run{Now: now}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	s := &service{names: []string{"absent", secrets.HopKey}, keeper: source}
	if err := s.run(t.Context(), &schedule.Run{Now: now}); !errors.Is(err, secrets.ErrAbsent) {
		t.Errorf("%v", err)
	}
	if version, all, _ := kids(t, source, secrets.HopKey, now); version != "2" || len(all) != 2 {
		t.Errorf("version %s has %v", version, all)
	}
	if _, err := source.Add(t.Context(), secrets.CursorKey, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	s = &service{names: []string{secrets.CursorKey}, keeper: source}
	if err := s.run(t.Context(), &schedule.Run{Now: now}); err == nil {
		t.Error("a version that nobody can read was followed by another")
	}
}

func TestConfigRefuses(t *testing.T) {
	t.Parallel()
	e := functest.New(t)
	for name, value := range map[string]string{"ROTATION_SECRETS": "hop-key,smtp-url", "GOOGLE_CLOUD_PROJECT": "a/b", "DATABASE_URL": ""} {
		vars := maps.Clone(e.Vars)
		vars[name] = value
		if _, err := open(config.Map(vars), schedule.WithPlan(schedule.Plan{Name: Name})); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
}
