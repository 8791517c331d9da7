package tenant

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/dbtest"
)

type state struct {
	status, reason              string
	version                     int
	suspended, deleted, erasing bool
}

func seed(t *testing.T, owner *pgx.Conn, subdomain, status, erase string) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	_, err := owner.Exec(t.Context(), `
insert into app.organizations (tenant_id, name, subdomain, status, deleted_at, erase_after)
values ($1, 'Acme', $2, $3, case when $3 = 'deleted' then now() end, now() + $4::interval)`, id, subdomain, status, erase)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func read(t *testing.T, owner *pgx.Conn, id uuid.UUID) (s state, activity []string) {
	t.Helper()
	err := owner.QueryRow(t.Context(), `
select status, suspended_reason, version, suspended_at is not null, deleted_at is not null, erase_after is not null
from app.organizations where tenant_id = $1`, id).Scan(&s.status, &s.reason, &s.version, &s.suspended, &s.deleted, &s.erasing)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := owner.Query(t.Context(), `
select action || ' ' || model || ' ' || (changes -> 'status' ->> 'old') || '>' || (changes -> 'status' ->> 'new')
from app.activity where tenant_id = $1 and object_id = $1 and user_id is null order by id`, id)
	if err != nil {
		t.Fatal(err)
	}
	activity, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return s, activity
}

func TestLifeOfAnOrganization(t *testing.T) {
	t.Parallel()
	db := dbtest.New(t)
	owner := db.Owner(t)
	id := seed(t, owner, "acme", "active", "0")
	other := seed(t, owner, "other", "active", "0")

	steps := []struct {
		words    []string
		want     state
		activity string
	}{
		{[]string{"suspend", "acme", "unpaid"}, state{"suspended", "unpaid", 2, true, false, true}, "suspended Organization active>suspended"},
		{[]string{"resume", "acme"}, state{"active", "", 3, false, false, true}, "resumed Organization suspended>active"},
		{[]string{"suspend", "acme"}, state{"suspended", "", 4, true, false, true}, "suspended Organization active>suspended"},
	}
	for i, step := range steps {
		done, err := Do(t.Context(), db.SystemURL, step.words)
		if err != nil || done.TenantID != id || done.After != step.want.status || done.Name != "Acme" {
			t.Fatalf("%v: %+v, %v", step.words, done, err)
		}
		got, activity := read(t, owner, id)
		if got != step.want || len(activity) != i+1 || activity[i] != step.activity {
			t.Errorf("%v: %+v, %v", step.words, got, activity)
		}
	}
	if got, activity := read(t, owner, other); got.status != "active" || got.version != 1 || len(activity) != 0 {
		t.Errorf("another organization changed: %+v, %v", got, activity)
	}

	for _, words := range [][]string{{"suspend", "acme"}, {"restore", "acme"}, {"resume", "other"}, {"suspend", "nobody"}} {
		if _, err := Do(t.Context(), db.SystemURL, words); err == nil || errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v", words, err)
		}
	}
	if _, activity := read(t, owner, id); len(activity) != len(steps) {
		t.Errorf("a refused command left activity: %v", activity)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	db := dbtest.New(t)
	owner := db.Owner(t)
	kept := seed(t, owner, "kept", "deleted", "1 day")
	seed(t, owner, "erased", "deleted", "-1 day")
	if _, err := Do(t.Context(), db.SystemURL, []string{"restore", "kept"}); err != nil {
		t.Fatal(err)
	}
	got, activity := read(t, owner, kept)
	if want := (state{"active", "", 2, false, false, false}); got != want || len(activity) != 1 {
		t.Errorf("restored: %+v, %v", got, activity)
	}
	if _, err := Do(t.Context(), db.SystemURL, []string{"restore", "erased"}); err == nil || !strings.Contains(err.Error(), "erased already") {
		t.Errorf("after its time: %v", err)
	}
	if _, err := Do(t.Context(), db.URL, []string{"suspend", "kept"}); err == nil {
		t.Error("the application's role changed a status")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{nil, {"suspend"}, {"close", "acme"}, {"resume", "acme", "why"}, {"suspend", "a", "b", "c"}, {"plan", "acme"}, {"add", "acme", "x@example.com"}} {
		if _, err := Do(t.Context(), "postgres://nowhere", words); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v", words, err)
		}
	}
	for _, url := range []string{"::", "postgres://u:secret@127.0.0.1:1/x?sslmode=disable"} {
		if _, err := Do(t.Context(), url, []string{"suspend", "acme"}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	address := "redis://" + redis.Addr()
	id := uuid.Must(uuid.NewV7())
	old := `{"status":"active","plan":"free"}`
	if err := redis.Set("ten:"+id.String(), old); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	if err := Forget(t.Context(), address, Outcome{TenantID: id}, log); err != nil {
		t.Fatal(err)
	}
	if got, err := redis.Get("ten:" + id.String()); err == nil && got == old {
		t.Error("Redis still holds the old status")
	}
	if said.Len() > 0 {
		t.Errorf("complained: %s", said.String())
	}
	redis.Close()
	if err := Forget(context.Background(), address, Outcome{TenantID: id}, log); err != nil {
		t.Error(err)
	}
	if said.Len() == 0 {
		t.Error("nothing said of a Redis that is down")
	}
	if err := Forget(t.Context(), "http://x", Outcome{TenantID: id}, log); err == nil {
		t.Error("an address of something else was taken")
	}
}
