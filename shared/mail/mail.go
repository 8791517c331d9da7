// Package mail sends one message to one person: by SMTP, or through SendGrid's
// API. [Open] chooses by the address in MAIL_URL; nothing else knows which it
// is.
//
// Sending is at least once. A server may take a message and its answer be lost;
// the message is then sent again under the same Message-ID ([MessageID]), by
// which most mailboxes show it once. What a failure means is said in two ways:
// an error of kind errs.Unavailable is temporary, a [*Rejected] is final.
//
// Another provider is a file with a Sender and a scheme in [Open].
package mail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"unicode"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

// Sender takes a message for delivery. It dials for each message and holds
// nothing open.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Address is a mailbox and the name shown beside it.
type Address = netmail.Address

// Message is a mail to one person, in both forms.
type Message struct {
	// ID is the Message-ID without its angle brackets: [MessageID] makes one.
	ID string
	// Kind names what sort of mail it is, for the provider's statistics.
	Kind       string
	From, To   Address
	ReplyTo    Address // none when empty
	Subject    string
	Text, HTML string
	Headers    []Header // beyond those above
}

// Header is a further header of a message, such as List-Unsubscribe.
type Header struct{ Name, Value string }

// Rejected says that this message will never be taken.
type Rejected struct {
	// Hard tells that the recipient's mailbox does not exist: no message to it
	// will be taken, and trying harms the sender's reputation.
	Hard bool
	// Code is what the server answered: SMTP's (550) or HTTP's (400).
	Code  int
	cause error
}

// Error implements error. It is for logs and dead letters.
func (r *Rejected) Error() string { return fmt.Sprintf("mail: rejected with %d: %v", r.Code, r.cause) }

// Unwrap gives the server's own words.
func (r *Rejected) Unwrap() error { return r.cause }

// Unanswered says that the server was given the whole message and did not say
// whether it took it. Trying again may make another copy, so it is done a few
// times only.
type Unanswered struct{ cause error }

// Error implements error. It is for logs and dead letters.
func (u *Unanswered) Error() string {
	return fmt.Sprintf("mail: the server did not say whether it took the message: %v", u.cause)
}

// Unwrap gives what broke off.
func (u *Unanswered) Unwrap() error { return u.cause }

// unavailable is a failure that time may mend.
func unavailable(cause error) error {
	return errs.Wrap(cause, errs.Unavailable, "mail_unavailable", "Mail cannot be sent at the moment.")
}

// MessageID is the Message-ID (RFC 5322, 3.6.4) of what the outbox message with
// the given id sends to an address: the same however often it is sent, another
// for each recipient.
func MessageID(message ids.ID, to, domain string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(to)))
	return message.String() + "." + hex.EncodeToString(sum[:6]) + "@" + domain
}

// Domain is the part of an address behind its @.
func Domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// fault is why a message must not go out as it is. Whoever builds one cleans
// names and subjects first; this is the wall behind that, since a line break
// in a header is another header.
func (m Message) fault() error {
	for name, value := range map[string]string{
		"message id": m.ID, "subject": m.Subject, "from": m.From.Name + m.From.Address, "to": m.To.Name + m.To.Address,
		"reply-to": m.ReplyTo.Name + m.ReplyTo.Address, "kind": m.Kind,
	} {
		if strings.ContainsFunc(value, unicode.IsControl) {
			return errors.New("mail: a control character in the " + name)
		}
	}
	for _, h := range m.Headers {
		if strings.ContainsFunc(h.Name+h.Value, unicode.IsControl) || strings.ContainsAny(h.Name, ": ") || h.Name == "" {
			return errors.New("mail: a header that is not one")
		}
	}
	if m.ID == "" || !strings.Contains(m.ID, "@") || strings.ContainsAny(m.ID, "<> ") {
		return errors.New("mail: no usable message id")
	}
	if m.Subject == "" || m.Text == "" || m.HTML == "" {
		return errors.New("mail: subject, text and HTML are all needed")
	}
	for _, a := range []Address{m.From, m.To} {
		if parsed, err := netmail.ParseAddress(a.Address); err != nil || parsed.Address != a.Address {
			return &Rejected{Hard: true, Code: 553, cause: errors.New("mail: an address that is not one")}
		}
	}
	return nil
}

// Line makes one line of text that people wrote, fit for a header: control
// characters and line breaks of any kind become spaces, and what is longer than
// limit characters is cut.
func Line(s string, limit int) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
	if r := []rune(s); len(r) > limit {
		return strings.TrimSpace(string(r[:limit-1])) + "…"
	}
	return s
}
