package deadletters

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/coditect/platform/shared/dbtest"
)

func TestListAndReplay(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	owner := d.Owner(t)
	put := func(table, column, kind, state string) string {
		t.Helper()
		id := uuid.NewString()
		if _, err := owner.Exec(t.Context(), `insert into app.`+table+` (`+column+`, id, kind, attempts, last_error, created_at, available_at, dead_at, done_at)
			values (gen_random_uuid(), $1, $2, 4, 'no such address', now() - interval '2 days', now() + interval '1 hour',
			  case when $3 <> 'pending' then now() end, case when $3 = 'done' then now() end)`, id, kind, state); err != nil {
			t.Fatal(err)
		}
		return id
	}
	one := put("outbox", "tenant_id", "mail.invitation", "dead")
	put("outbox", "tenant_id", "mail.digest", "dead")
	put("outbox", "tenant_id", "mail.digest", "pending")
	put("outbox", "tenant_id", "mail.digest", "done")
	put("user_outbox", "user_id", "mail.verification", "dead")
	list := func(want int) []Letter {
		t.Helper()
		got, err := List(t.Context(), d.SystemURL)
		if err != nil || len(got) != want {
			t.Fatalf("%d dead letters, want %d: %v", len(got), want, err)
		}
		return got
	}
	for _, l := range list(3) {
		if l.Attempts != 4 || l.Error != "no such address" || l.OwnerID == uuid.Nil || l.DeadAt.IsZero() {
			t.Errorf("listed as %+v", l)
		}
	}
	for _, c := range []struct {
		which []string
		n     int64
		left  int
	}{
		{[]string{uuid.NewString()}, 0, 3}, {[]string{"mail.nothing"}, 0, 3}, {[]string{one}, 1, 2}, {[]string{"mail.digest", one}, 1, 1}, {[]string{"all"}, 1, 0}, {[]string{"all"}, 0, 0},
	} {
		if n, err := Replay(t.Context(), d.SystemURL, c.which); err != nil || n != c.n {
			t.Errorf("%v: %d, want %d: %v", c.which, n, c.n, err)
		}
		list(c.left)
	}
	var due int
	if err := owner.QueryRow(t.Context(), `select count(*) from app.outbox where id = $1 and attempts = 0 and available_at <= now()
		and created_at > now() - interval '1 minute'`, one).Scan(&due); err != nil || due != 1 {
		t.Errorf("%d is due again: %v", due, err)
	}
	for _, which := range [][]string{nil, {"Robert'); drop table"}, {"all", "x"}, {"mail"}} {
		if _, err := Replay(t.Context(), d.SystemURL, which); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v", which, err)
		}
	}
	if _, err := List(t.Context(), "://secret@"); err == nil {
		t.Error("a broken address was taken")
	}
}
