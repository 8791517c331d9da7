// Package mailer is the job function that writes and sends the platform's mail,
// one message of the outbox at a time.
//
// A message carries ids. The mailer reads what is true now, under the tenant's
// or the person's own policy, and skips what no longer is: an invitation that
// was revoked, a link that was used, a task that went to somebody else. Nobody
// gets more than so many mails of a kind an hour, or anything after a server
// said that there is no such mailbox (see store.go).
//
// Sending is at least once, as SMTP is after the server's 250: a mailer that
// dies between the answer and its own note sends again, under the same
// Message-ID. A mail whose note was made is not sent again. One attempt sends a
// mail once, and no two run at a time (the kinds are exclusive), so there is one
// copy more for each death in that gap and for each answer that did not come,
// of which a message has four.
//
// A new mail is a function in letters.go that makes a letter, and its handler
// in open.go; what it says is text there, how it looks is in templates.
package mailer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/mail"
	"github.com/coditect/platform/shared/queue"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/worker"
)

// service is what all mails share.
type service struct {
	db      *db.DB
	log     *slog.Logger
	sender  mail.Sender
	envelop secrets.KeyRing
	cfg     settings
	now     func() time.Time
}

// delivery is what the handlers of all payloads have in common.
type delivery interface {
	Once(ctx context.Context, fn func(*db.Tx) error) error
}

// nothing is the answer to a row that is gone.
func nothing(err error, what string) error {
	if errors.Is(err, errs.ErrNotFound) {
		return worker.Skip(what + " is no more")
	}
	return err
}

// deliver sends letters and records the message when all are out. One that
// cannot go to its address stops none of the others.
func (s *service) deliver(ctx context.Context, d delivery, e queue.Envelope, letters []letter, note func(*db.Tx) error) error {
	var faults []error
	sent := 0
	for _, l := range letters {
		switch err := s.send(ctx, e, l); {
		case err == nil:
			sent++
		case worker.Final(err):
			faults = append(faults, err)
		default:
			return err // all of them again: those that are out are known
		}
	}
	if sent == 0 && len(faults) > 0 {
		return errors.Join(faults...)
	}
	return d.Once(ctx, note)
}

// send sends one letter, unless it was sent before.
func (s *service) send(ctx context.Context, e queue.Envelope, l letter) error {
	hash := addressHash(l.to.Address)
	state, err := s.reserve(ctx, hash, e.ID, e.Kind)
	switch {
	case err != nil:
		return err
	case state.sent:
		return nil
	case state.suppressed:
		return worker.Skip("the address takes no mail")
	case state.recent > s.cfg.PerHour:
		s.log.WarnContext(ctx, "too many mails to one address", "kind", e.Kind, "within_an_hour", state.recent)
		return worker.Skip("the address had too many mails of the kind")
	}
	m, err := l.message(s.cfg, mail.MessageID(e.ID, l.to.Address, mail.Domain(s.cfg.sender().Address)), e.Kind)
	if err != nil {
		return worker.Permanent(err)
	}
	var rejected *mail.Rejected
	if err := s.sender.Send(ctx, m); errors.As(err, &rejected) {
		if rejected.Hard {
			err = errors.Join(err, s.suppress(ctx, hash, "bounce"))
		}
		return worker.Permanent(err)
	} else if err != nil {
		return err
	}
	// The server has it: that is noted though the time is up, or it would be sent
	// again. A third of the lease is left then, and a little before the queue's.
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer stop()
	return s.noteSent(ctx, hash, e.ID)
}

// noteTime bounds the note that a mail was taken.
const noteTime = 3 * time.Second

// addressHash is what is kept of an address that mail goes to.
func addressHash(address string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return hex.EncodeToString(sum[:])
}
