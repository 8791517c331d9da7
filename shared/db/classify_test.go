package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/coditect/platform/shared/errs"
)

func TestTrimShard(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"tasks_pkey": "tasks_pkey", "tasks_pkey_1": "tasks_pkey", "tasks_pkey_": "tasks_pkey_", "sha256": "sha256", "_1": "", "123": "123", "": "", "a_1_2": "a_1",
	} {
		if got := trimShard(name); got != want {
			t.Errorf("trimShard(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestClassify holds what each kind of failure means to a client.
func TestClassify(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return fmt.Errorf("db: %w", &pgconn.PgError{Code: code, Message: "secret"}) }
	ours := errs.New(errs.Conflict, "taken", "It is taken.")
	for name, tc := range map[string]struct {
		err   error
		kind  errs.Kind
		retry bool
	}{
		"connection lost":    {pg("08006"), errs.Unavailable, true},
		"pooler's refusal":   {pg("08P01"), errs.Unavailable, true},
		"too many":           {pg("53300"), errs.Unavailable, true},
		"disk full":          {pg("53100"), errs.Unavailable, true},
		"admin shutdown":     {pg("57P01"), errs.Unavailable, true},
		"starting up":        {pg("57P03"), errs.Unavailable, true},
		"statement timeout":  {pg("57014"), errs.Timeout, false},
		"year 0":             {pg("22008"), errs.Invalid, false},
		"deadlock":           {pg("40P01"), errs.Unavailable, true},
		"serialization":      {pg("40001"), errs.Unavailable, true},
		"no right":           {pg("42501"), errs.Internal, false},
		"unknown constraint": {pg("23505"), errs.Internal, false},
		"broken connection":  {io.ErrUnexpectedEOF, errs.Unavailable, true},
		"ours":               {ours, errs.Conflict, false},
		"a scan":             {pgx.ScanArgError{Err: errors.New("x")}, errs.Internal, false},
		"no row":             {pgx.ErrNoRows, errs.Internal, false},
		"too many rows":      {pgx.ErrTooManyRows, errs.Internal, false},
		"client left":        {context.Canceled, errs.Internal, false},
		"out of time":        {context.DeadlineExceeded, errs.Internal, false},
	} {
		got := classify(tc.err)
		var e *errs.Error
		retry := errors.As(got, &e) && e.RetryAfter > 0
		if errs.KindOf(got) != tc.kind || retry != tc.retry || !errors.Is(got, tc.err) {
			t.Errorf("%s: %v (kind %d, retry %v)", name, got, errs.KindOf(got), retry)
		}
		if e != nil && (e.Detail == "" || e.Detail == "secret") {
			t.Errorf("%s tells %q", name, e.Detail)
		}
	}
	if classify(nil) != nil {
		t.Error("nothing is an error")
	}
}

func TestWorthRepeating(t *testing.T) {
	t.Parallel()
	broken := unavailable.WithCause(io.EOF)
	for name, tc := range map[string]struct {
		err  error
		tx   Tx
		want bool
	}{
		"deadlock":          {classify(&pgconn.PgError{Code: "40P01"}), Tx{write: true}, true},
		"serialization":     {classify(&pgconn.PgError{Code: "40001"}), Tx{write: true}, true},
		"other refusal":     {&pgconn.PgError{Code: "23505"}, Tx{write: true}, false},
		"read broke":        {broken, Tx{broke: true}, true},
		"write broke":       {broken, Tx{broke: true, write: true}, false},
		"no connection":     {broken, Tx{}, false},
		"the closure's own": {errs.ErrNotFound, Tx{}, false},
	} {
		if got := worthRepeating(tc.err, &tc.tx); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOpenRefusesAnAddressWithoutQuotingIt(t *testing.T) {
	t.Parallel()
	_, err := Open(Config{URL: "postgres://user:hunter2@host:notaport/x"}, nil)
	if err == nil || errors.Unwrap(err) != nil || len(err.Error()) == 0 || containsSecret(err.Error()) {
		t.Errorf("err = %v", err)
	}
}

func containsSecret(s string) bool {
	for i := 0; i+7 <= len(s); i++ {
		if s[i:i+7] == "hunter2" {
			return true
		}
	}
	return false
}
