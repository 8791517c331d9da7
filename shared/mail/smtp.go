package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

type smtpSender struct {
	host    string
	options []gomail.Option
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
	switch {
	case implicit:
		s.options = append(s.options, gomail.WithSSL())
	case u.Query().Get("tls") == "none":
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		s.options = append(s.options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	s.options = append(s.options, gomail.WithPort(port))
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if trust != nil {
		settings = trust.Clone()
	}
	settings.ServerName = s.host
	s.options = append(s.options, gomail.WithTLSConfig(settings))
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

	client, err := gomail.NewClient(s.host, s.options...)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if err == nil || msg.IsDelivered() {
		// What fails after the server's 250 is the farewell.
		return nil
	}
	return meaning(err)
}

// meaning sorts an SMTP failure. Whatever is not the server's final word on
// this message is temporary: a refused password or a missing STARTTLS is the
// operator's to mend, and mail waits for that.
func meaning(err error) error {
	var refused *gomail.SendError
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
