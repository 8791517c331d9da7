package errs

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestCauseStaysPrivate(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	e := Wrap(cause, Unavailable, "unavailable", "Try later.")
	if !errors.Is(e, cause) || e.Detail != "Try later." || e.Error() != "unavailable: Try later.: connection refused" {
		t.Errorf("%v", e)
	}
	if got := New(Conflict, "taken", "It is taken.").Error(); got != "taken: It is taken." {
		t.Error(got)
	}
}

func TestCopies(t *testing.T) {
	t.Parallel()
	base := New(NotFound, "not_found", "x")
	withCause, withRetry := base.WithCause(errors.New("y")), base.WithRetry(time.Second)
	if base.Unwrap() != nil || base.RetryAfter != 0 {
		t.Error("the original changed")
	}
	if withCause.Unwrap() == nil || withRetry.RetryAfter != time.Second {
		t.Error("the copies did not")
	}
	if !errors.Is(fmt.Errorf("w: %w", withCause), base) {
		t.Error("a copy is not found by its original")
	}
	if errors.Is(withCause, New(NotFound, "other", "x")) || errors.Is(withCause, New(Conflict, "not_found", "x")) || errors.Is(base, errors.New("z")) {
		t.Error("another error is the same")
	}
}

func TestKindAndCode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		kind Kind
		code string
	}{
		{nil, Internal, ""}, {errors.New("x"), Internal, ""}, {ErrNotFound, NotFound, "not_found"},
		{fmt.Errorf("x: %w", New(Payment, "plan_limit", "x")), Payment, "plan_limit"},
	} {
		if KindOf(c.err) != c.kind || CodeOf(c.err) != c.code {
			t.Errorf("%v: %v %s", c.err, KindOf(c.err), CodeOf(c.err))
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	if err := InvalidFields(); err != nil {
		t.Errorf("no fault is %v", err)
	}
	var e *Error
	if err := InvalidFields(Field{Location: "a"}, Field{Location: "b"}); !errors.As(err, &e) || len(e.Fields) != 2 || e.Kind != Invalid || e.Code != "validation_failed" {
		t.Errorf("%+v", e)
	}
	if one := InvalidField("body.a", "is taken"); one.Fields[0] != (Field{Location: "body.a", Message: "is taken"}) {
		t.Errorf("%+v", one)
	}
}
