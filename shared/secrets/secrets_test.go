package secrets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
)

type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// scripted is a Source whose answer the test sets.
type scripted struct {
	mu    sync.Mutex
	calls int
	fetch func(ctx context.Context, call int) (Payload, error)
}

func (s *scripted) Fetch(ctx context.Context, _ string) (Payload, error) {
	s.mu.Lock()
	s.calls++
	call := s.calls
	s.mu.Unlock()
	return s.fetch(ctx, call)
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

func TestValueIsCachedAndRefreshed(t *testing.T) {
	t.Parallel()
	c := newClock()
	src := &scripted{fetch: func(_ context.Context, call int) (Payload, error) {
		return Payload{[]byte(fmt.Sprint("v", call)), fmt.Sprint(call)}, nil
	}}
	s := New(src, Config{Refresh: 5 * time.Minute}, WithClock(c.now))
	want := func(data string, calls int) {
		t.Helper()
		got, version, err := s.Value(t.Context(), "a")
		if err != nil || string(got) != data || "v"+version != data || src.count() != calls {
			t.Errorf("got %s %s %v after %d calls; want %s after %d", got, version, err, src.count(), data, calls)
		}
	}
	want("v1", 1)
	want("v1", 1)
	c.advance(5*time.Minute - 1)
	want("v1", 1)
	c.advance(1)
	want("v2", 2)
	want("v2", 2)
}

func TestFailedRefreshServesTheLastGoodValue(t *testing.T) {
	t.Parallel()
	c := newClock()
	src := &scripted{fetch: func(_ context.Context, call int) (Payload, error) {
		if call == 1 || call == 3 {
			return Payload{[]byte{byte(call)}, fmt.Sprint(call)}, nil
		}
		return Payload{}, errors.New("down")
	}}
	s := New(src, Config{Refresh: 5 * time.Minute}, WithClock(c.now))
	for i, step := range []struct {
		after   time.Duration
		version string
		calls   int
	}{{0, "1", 1}, {5 * time.Minute, "1", 2}, {29 * time.Second, "1", 2}, {time.Second, "3", 3}} {
		c.advance(step.after)
		_, version, err := s.Value(t.Context(), "a")
		if err != nil || version != step.version || src.count() != step.calls {
			t.Errorf("step %d: version %s, %v, %d calls", i, version, err, src.count())
		}
	}
}

func TestFirstFailureIsUnavailableAndNotRemembered(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route to host")
	src := &scripted{fetch: func(_ context.Context, call int) (Payload, error) {
		if call == 1 {
			return Payload{}, cause
		}
		return Payload{[]byte("x"), "1"}, nil
	}}
	s := New(src, Config{})
	_, _, err := s.Value(t.Context(), "signing-keys")
	var public *errs.Error
	if !errors.As(err, &public) || public.Kind != errs.Unavailable || public.RetryAfter == 0 || !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(public.Detail, "signing") || strings.Contains(public.Detail, "route") {
		t.Errorf("the public sentence tells too much: %s", public.Detail)
	}
	if _, _, err := s.Value(t.Context(), "signing-keys"); err != nil {
		t.Errorf("the failure was remembered: %v", err)
	}
}

func TestConcurrentFirstReadsShareOneFetch(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	src := &scripted{fetch: func(context.Context, int) (Payload, error) {
		<-release
		return Payload{[]byte("x"), "1"}, nil
	}}
	s := New(src, Config{})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, _, err := s.Value(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		})
	}
	for src.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wg.Wait()
	if src.count() != 1 {
		t.Errorf("%d fetches", src.count())
	}
}

// A caller who gives up must not fail those who wait with it.
func TestFollowersSurviveTheirLeadersCancellation(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	src := &scripted{fetch: func(ctx context.Context, call int) (Payload, error) {
		if call == 1 {
			close(started)
			<-ctx.Done()
			return Payload{}, ctx.Err()
		}
		return Payload{[]byte("x"), "1"}, nil
	}}
	s := New(src, Config{})
	leaderCtx, cancel := context.WithCancel(t.Context())
	leader, follower := make(chan error, 1), make(chan error, 1)
	go func() { _, _, err := s.Value(leaderCtx, "a"); leader <- err }()
	<-started
	go func() { _, _, err := s.Value(t.Context(), "a"); follower <- err }()
	impatient, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, _, err := s.Value(impatient, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a follower outstayed its context: %v", err)
	}
	cancel()
	if err := <-leader; !errors.Is(err, context.Canceled) {
		t.Errorf("leader got %v", err)
	}
	if err := <-follower; err != nil {
		t.Errorf("follower got %v", err)
	}
}

func TestStaleReadersDoNotWaitForARefresh(t *testing.T) {
	t.Parallel()
	c := newClock()
	started, release := make(chan struct{}), make(chan struct{})
	src := &scripted{fetch: func(_ context.Context, call int) (Payload, error) {
		if call == 2 {
			close(started)
			<-release
		}
		return Payload{[]byte("x"), fmt.Sprint(call)}, nil
	}}
	s := New(src, Config{Refresh: time.Minute}, WithClock(c.now))
	if _, _, err := s.Value(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Minute)
	done := make(chan string, 1)
	go func() { _, v, _ := s.Value(t.Context(), "a"); done <- v }()
	<-started
	if _, v, err := s.Value(t.Context(), "a"); err != nil || v != "1" {
		t.Errorf("got %s %v while the refresh runs", v, err)
	}
	close(release)
	if v := <-done; v != "2" {
		t.Errorf("the refreshing caller got %s", v)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	env := Environment(config.Map(map[string]string{"SIGNING_KEYS": "from-env", "HOP_KEY": ""}))
	dir := Directory(fstest.MapFS{"signing-keys": {Data: []byte("from-file")}, "hop-key": {Data: []byte("hop")}})
	fixed := Static(map[string][]byte{"envelope-keys": []byte("static")})
	all := First(env, dir, fixed)
	for name, want := range map[string]string{"signing-keys": "from-env", "hop-key": "hop", "envelope-keys": "static"} {
		p, err := all.Fetch(t.Context(), name)
		if err != nil || string(p.Data) != want || p.Version == "" {
			t.Errorf("%s: %s %v", name, p.Data, err)
		}
	}
	if _, err := all.Fetch(t.Context(), "other"); !errors.Is(err, ErrAbsent) {
		t.Errorf("an unknown name gives %v", err)
	}
	broken := &scripted{fetch: func(context.Context, int) (Payload, error) { return Payload{}, errors.New("down") }}
	if _, err := First(broken, fixed).Fetch(t.Context(), "envelope-keys"); err == nil {
		t.Error("a source that is down was passed over")
	}
	if _, err := dir.Fetch(t.Context(), "../x"); err == nil {
		t.Errorf("a path as a name gives %v", err)
	}
}

// Cloud Run mounts a folder for each secret; elsewhere a secret is a file. The one
// process may have both, and a folder without a version is a secret that is not there.
func TestDirectoryOfFolders(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(at, name)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("hop-key/"+Latest, "one")
	write("cursor-key", "file")
	write("empty-keys/7", "not the newest")
	dir := Directory(os.DirFS(at))
	first, err := dir.Fetch(t.Context(), "hop-key")
	if err != nil || string(first.Data) != "one" {
		t.Errorf("%s %v", first.Data, err)
	}
	write("hop-key/"+Latest, "two")
	if p, err := dir.Fetch(t.Context(), "hop-key"); err != nil || string(p.Data) != "two" || p.Version == first.Version {
		t.Errorf("%s %v, version %s after %s", p.Data, err, p.Version, first.Version)
	}
	if p, err := dir.Fetch(t.Context(), "cursor-key"); err != nil || string(p.Data) != "file" {
		t.Errorf("%s %v", p.Data, err)
	}
	for _, name := range []string{"empty-keys", "gone"} {
		if _, err := dir.Fetch(t.Context(), name); !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	c := newClock()
	var data atomic.Value
	data.Store("1")
	src := &scripted{fetch: func(context.Context, int) (Payload, error) {
		d := data.Load().(string)
		return Payload{[]byte(d), d}, nil
	}}
	var parses atomic.Int32
	cached := Parse(New(src, Config{Refresh: time.Minute}, WithClock(c.now)), "n", func(b []byte) (string, error) {
		parses.Add(1)
		if string(b) == "bad" {
			return "", errors.New("not readable")
		}
		return "parsed " + string(b), nil
	})
	for i, step := range []struct {
		set, want string
		parses    int32
	}{{"1", "parsed 1", 1}, {"1", "parsed 1", 1}, {"bad", "parsed 1", 2}, {"bad", "parsed 1", 2}, {"2", "parsed 2", 3}} {
		data.Store(step.set)
		c.advance(time.Minute)
		got, err := cached.Get(t.Context())
		if err != nil || got != step.want || parses.Load() != step.parses {
			t.Errorf("step %d: %q %v after %d parses", i, got, err, parses.Load())
		}
	}
	first := Parse(New(Static(map[string][]byte{"n": []byte("bad")}), Config{}), "n", ParseRing)
	if _, err := first.Get(t.Context()); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("an unreadable first version gives %v", err)
	}
	absent := Parse(New(Static(nil), Config{}), "n", ParseRing)
	if _, err := absent.Get(t.Context()); errs.KindOf(err) != errs.Unavailable || !errors.Is(err, ErrAbsent) {
		t.Errorf("an absent secret gives %v", err)
	}
}

func BenchmarkValue(b *testing.B) {
	s := New(Static(map[string][]byte{"a": []byte("x")}), Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Value(context.Background(), "a"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
