package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"unicode/utf8"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/idempotency"
)

// operate lets huma decode and validate, and the function act.
func operate(_ *Deps, _ handle) handle {
	return func(c *call) error {
		c.op.ready().handler(c, c.r)
		switch {
		case c.failure != nil:
			return c.failure
		case c.answer == nil:
			return errors.New("api: the operation gave no answer")
		}
		return nil
	}
}

var (
	errKeyInFlight = idempotency.ErrInFlight
	errKeyReused   = idempotency.ErrReused
)

var errKey = &errs.Error{
	Kind: errs.Malformed, Code: "invalid_idempotency_key", Detail: "Idempotency-Key must be 1 to 255 characters.",
	Fields: []errs.Field{{Location: "header.Idempotency-Key", Message: "must be 1 to 255 characters"}},
}

// idempotent puts the use of a key into the context, where the first write
// finds it, and stores the answer with that write's effect. Nothing is sent
// before both are committed.
func idempotent(d *Deps, next handle) handle {
	return func(c *call) error {
		values, given := c.r.Header["Idempotency-Key"]
		if !given || !c.op.takesKey() {
			return next(c)
		}
		if len(values) != 1 || !validKey(values[0]) {
			return errKey
		}
		attempt := &idempotency.Attempt{
			Key: values[0], Method: c.op.Method, Path: canonical(c.r.URL.Path), Fingerprint: c.fingerprint(),
		}
		if c.op.Sealed {
			if d.Sealer == nil {
				return errMissing("Sealer")
			}
			attempt.Sealer = d.Sealer
		}
		ctx := c.r.Context()
		// A transaction must not stay open because the client has gone, or
		// because the function panicked.
		defer attempt.Rollback(context.WithoutCancel(ctx))
		c.r = c.r.WithContext(idempotency.With(ctx, attempt))
		err := next(c)

		var earlier *idempotency.Replay
		if errors.As(err, &earlier) {
			c.answer, c.replayed = replay(earlier.Response), true
			return nil
		}
		a := c.answer
		if err != nil {
			a = c.refusal(err)
		} else if a.stream != nil {
			return errors.New("api: a stream cannot be kept for a repeat")
		}
		if stored := attempt.Commit(ctx, a.response()); stored != nil {
			c.answer = nil
			return stored
		}
		return err
	}
}

func validKey(key string) bool {
	return key != "" && clean(key) && utf8.RuneCountInString(key) <= idempotency.MaxKey
}

// fingerprint is of everything in the request that decides about its effect.
func (c *call) fingerprint() [32]byte {
	h := sha256.New()
	h.Write([]byte(c.r.URL.RawQuery))
	h.Write([]byte{0}) // a raw query holds no NUL
	h.Write(c.body)
	return [32]byte(h.Sum(nil))
}
