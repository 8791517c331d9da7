package api

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
)

func TestReplay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := newLedger()
	b.beforeAct = l.write
	first := b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k")
	is(t, first, "201")
	if first.Header().Get("Idempotent-Replayed") != "" || first.Header().Get("X-Coditect-Outbox") != "1" {
		t.Errorf("first: %v", first.Header())
	}
	again := b.ask(t, "POST "+strings.TrimSuffix(things, "/"), `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k")
	is(t, again, "201")
	for _, name := range []string{"Content-Type", "Location", "ETag"} {
		if again.Header().Get(name) != first.Header().Get(name) || first.Header().Get(name) == "" {
			t.Errorf("%s: %q, then %q", name, first.Header().Get(name), again.Header().Get(name))
		}
	}
	if again.Header().Get("Idempotent-Replayed") != "true" || again.Body.String() != first.Body.String() || again.Header().Get("X-Coditect-Outbox") != "" {
		t.Errorf("again: %v %s", again.Header(), again.Body)
	}
	is(t, b.ask(t, "POST "+things, `{"name":"b"}`, "token", tokOwner, "Idempotency-Key", "k"), "422 idempotency_key_reused")
	is(t, b.ask(t, "POST "+things+"?color=red", `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k"), "422 idempotency_key_reused")
	if l.effects != 1 {
		t.Errorf("%d effects", l.effects)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		strings.Repeat("ä", 255): "201", strings.Repeat("a", 256): "400 invalid_idempotency_key", "": "400 invalid_idempotency_key", "a\x00": "400 invalid_idempotency_key",
	} {
		is(t, setup(t).ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", key), want)
	}
	is(t, setup(t).ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "a", "Idempotency-Key", "b"), "400 invalid_idempotency_key")
	// Other methods ignore it.
	is(t, setup(t).ask(t, "GET "+one, "", "token", tokOwner, "Idempotency-Key", ""), "200")
}

// Only a final answer is kept: what another try may overcome is tried again.
func TestWhatIsKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     error
		want    string
		repeats bool
	}{
		{errArchived, "409 thing_archived", true},
		{errors.New("x"), "500 internal", false},
		{errs.New(errs.Unavailable, "try_again", "x"), "503 try_again", false},
		{errs.New(errs.TooMany, "rate_limited", "x"), "429 rate_limited", false},
	} {
		b := setup(t)
		l := newLedger()
		b.beforeAct, b.fail = l.write, c.err
		is(t, b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k"), c.want)
		if l.effects != 0 || len(l.running) != 0 {
			t.Errorf("%v left %d effects, %d running", c.err, l.effects, len(l.running))
		}
		b.fail = nil
		w := b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k")
		if repeated := w.Header().Get("Idempotent-Replayed") == "true"; repeated != c.repeats {
			t.Errorf("%v: repeated %v: %d", c.err, repeated, w.Code)
		}
	}
}

func TestCommitFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := newLedger()
	b.beforeAct, l.fail = l.write, errs.New(errs.Unavailable, "unavailable", "x")
	w := b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k")
	is(t, w, "503 unavailable")
	if w.Header().Get("ETag") != "" || w.Header().Get("Location") != "" || l.effects != 0 {
		t.Errorf("the lost answer shows: %v", w.Header())
	}
}

func TestPanicGivesTheKeyBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := newLedger()
	b.beforeAct = func(ctx context.Context) error {
		if err := l.write(ctx); err != nil {
			return err
		}
		panic("x")
	}
	is(t, b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k"), "500 internal")
	if len(l.running) != 0 {
		t.Error("the transaction is open")
	}
}

func TestInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := newLedger()
	started, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.beforeAct = func(ctx context.Context) error {
		if err := l.write(ctx); err != nil {
			return err
		}
		once.Do(func() { close(started); <-finish })
		return nil
	}
	done := make(chan string, 1)
	go func() {
		w := b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k")
		done <- w.Result().Status
	}()
	<-started
	is(t, b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k"), "409 idempotency_in_progress")
	close(finish)
	if got := <-done; got != "201 Created" {
		t.Errorf("the first: %s", got)
	}
}

func TestSealedAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := newLedger()
	b.beforeAct = l.write
	ask := func() string {
		w := b.ask(t, "POST /api/v1/auth/login/", `{"email":"a@example.com"}`, "Idempotency-Key", "k")
		is(t, w, "200")
		return w.Body.String()
	}
	first := ask()
	if stored := string(l.done["k"].r.Body); !strings.HasPrefix(stored, "sealed:") {
		t.Errorf("stored in clear: %s", stored)
	}
	if again := ask(); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	var attempt *idempotency.Attempt
	b.beforeAct = func(ctx context.Context) error { attempt = idempotency.Claim(ctx); return nil }
	b.ask(t, "POST "+things, `{"name":"a"}`, "token", tokOwner, "Idempotency-Key", "k2")
	if attempt == nil || attempt.Sealer != nil || attempt.Path != things || attempt.Method != "POST" || attempt.Key != "k2" {
		t.Errorf("attempt %+v", attempt)
	}
}
