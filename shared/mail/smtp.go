package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gomail "github.com/wneessen/go-mail"
)

type smtpSender struct {
	host    string
	options []gomail.Option
	tls     *tls.Config // of a connection that has TLS from the start
}

// newSMTP speaks SMTP (RFC 5321). Unless the address says tls=none, a server
// that offers no STARTTLS (RFC 3207) gets no mail and no password.
func newSMTP(u *url.URL, timeout time.Duration, trust *tls.Config) (Sender, error) {
	s := &smtpSender{host: u.Hostname(), options: []gomail.Option{gomail.WithTimeout(timeout), gomail.WithoutNoop()}}
	port, implicit := 587, u.Scheme == "smtps"
	if implicit {
		port = 465
	}
	if text := u.Port(); text != "" {
		var err error
		if port, err = strconv.Atoi(text); err != nil {
			return nil, errors.New("mail: the port of MAIL_URL is not a number")
		}
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if trust != nil {
		settings = trust.Clone()
	}
	settings.ServerName = s.host
	switch {
	case implicit:
		// The connection is ours to make (see line), and has TLS before go-mail sees
		// it, which then asks for nothing more.
		s.tls = settings
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	case u.Query().Get("tls") == "none":
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	s.options = append(s.options, gomail.WithPort(port), gomail.WithTLSConfig(settings))
	if u.User != nil {
		password, _ := u.User.Password()
		s.options = append(s.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	// Made again for each message: a client of go-mail remembers its connection.
	if _, err := gomail.NewClient(s.host, s.options...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *smtpSender) Send(ctx context.Context, m Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(&m.From)
	msg.ToMailAddress(&m.To)
	if m.ReplyTo.Address != "" {
		msg.ReplyToMailAddress(&m.ReplyTo)
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.ID)
	msg.SetDate()
	// Nobody answers an automatic mail automatically (RFC 3834).
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	for _, h := range m.Headers {
		msg.SetGenHeaderPreformatted(gomail.Header(h.Name), h.Value)
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)

	l := &line{ctx: ctx, stop: func() bool { return true }}
	defer l.hangUp()
	client, err := gomail.NewClient(s.host, append(slices.Clone(s.options), gomail.WithDialContextFunc(l.dialer(s.tls)))...)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() {
		// What fails after the server's 250 is the farewell.
		return nil
	}
	return meaning(err, l.broken.Load())
}

// patience is how long an answer may take when there is no time left.
const patience = 3 * time.Second

// line is the connection of one sending. When the time for it is over nothing
// more is said: what a server did not hear to its end it has not taken. An answer
// that is awaited then may still come, for a moment, since without it nobody
// knows whether there is one mail or none.
type line struct {
	net.Conn
	ctx    context.Context //nolint:containedctx // the sending's, as long as it lasts
	broken atomic.Bool     // something could not be said

	mu   sync.Mutex
	end  time.Time
	stop func() bool
}

func (l *line) dialer(settings *tls.Config) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var err error
		if l.Conn, err = (&net.Dialer{}).DialContext(ctx, network, address); err != nil {
			return nil, err
		}
		l.stop = context.AfterFunc(l.ctx, l.over)
		if settings == nil {
			return l, nil
		}
		secure := tls.Client(l, settings)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		return secure, nil
	}
}

// hangUp ends the connection, also one that could not take leave.
func (l *line) hangUp() {
	l.stop()
	if l.Conn != nil {
		_ = l.Conn.Close()
	}
}

func (l *line) over() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = time.Now().Add(patience)
	_ = l.Conn.SetDeadline(l.end)
}

// SetDeadline implements net.Conn.
func (l *line) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.end.IsZero() && t.After(l.end) {
		t = l.end
	}
	return l.Conn.SetDeadline(t)
}

// Write implements net.Conn.
func (l *line) Write(b []byte) (n int, err error) {
	if err = context.Cause(l.ctx); err == nil {
		n, err = l.Conn.Write(b)
	}
	if err != nil {
		l.broken.Store(true)
	}
	return n, err
}

// meaning sorts an SMTP failure. Whatever is not the server's final word on
// this message is temporary: a refused password or a missing STARTTLS is the
// operator's to mend, and mail waits for that. unsaid tells that the server did
// not hear everything.
func meaning(err error, unsaid bool) error {
	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.Reason == gomail.ErrSMTPDataClose && refused.ErrorCode() == 0 && !unsaid {
		return &Unanswered{err}
	}
	if !errors.As(err, &refused) || refused.ErrorCode() < 500 {
		return unavailable(err)
	}
	return &Rejected{Code: refused.ErrorCode(), Hard: refused.Reason == gomail.ErrSMTPRcptTo && noMailbox(refused), cause: err}
}

// noMailbox reports whether the answer to RCPT TO says that the address does
// not exist (RFC 3463, X.1.x), and not that its owner is full or we are not
// welcome.
func noMailbox(e *gomail.SendError) bool {
	if enhanced := e.EnhancedStatusCode(); enhanced != "" {
		return strings.HasPrefix(enhanced, "5.1.")
	}
	switch e.ErrorCode() {
	case 550, 551, 553:
		return true
	}
	return false
}
