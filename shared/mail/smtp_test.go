package mail_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/mail"
	"github.com/coditect/platform/shared/standin/mailbox"
)

const from = "Coditect <no-reply@mail.example.com>"

func box(t *testing.T, opts ...mailbox.Option) *mailbox.Box {
	t.Helper()
	b, err := mailbox.Open("127.0.0.1:0", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func sender(t *testing.T, url, environment string, opts ...mail.Option) mail.Sender {
	t.Helper()
	s, err := mail.Open(mail.Config{URL: config.Secret(url), From: from, ReplyTo: "help@example.com", Environment: environment, Timeout: 5 * time.Second}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(to string) mail.Message {
	return mail.Message{
		ID: mail.MessageID(ids.New(), to, "mail.example.com"), Kind: "mail.test", To: mail.Address{Name: "Zoë Ångström", Address: to},
		Subject: "Grüße an 東京", Text: "Hello\n=20 https://example.com/?a=1&b=2", HTML: "<p>Hello</p>",
		Headers: []mail.Header{{Name: "List-Unsubscribe", Value: "<https://example.com/?token=un_" + strings.Repeat("a", 200) + ">"}},
	}
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	b := box(t)
	s := sender(t, b.URL(), "local")
	m := message("zoe@example.com")
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	all := b.Messages("zoe@example.com")
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	got := all[0]
	if got.Subject != m.Subject || got.MessageID != m.ID || got.From != `"Coditect" <no-reply@mail.example.com>` || strings.TrimSpace(got.HTML) != m.HTML ||
		strings.TrimSpace(strings.ReplaceAll(got.Text, "\r", "")) != m.Text || got.Links[0] != "https://example.com/?a=1&b=2" {
		t.Errorf("arrived as %+v", got)
	}
	for name, want := range map[string]string{"Reply-To": "<help@example.com>", "Auto-Submitted": "auto-generated", "List-Unsubscribe": m.Headers[0].Value} {
		if v := strings.Join(got.Header[name], ""); v != want {
			t.Errorf("%s: %q", name, v)
		}
	}
	for line := range strings.SplitSeq(got.Raw, "\r\n") {
		if len(line) > 998 || strings.ContainsFunc(line, func(r rune) bool { return r > 126 }) {
			t.Errorf("a line that not every server takes: %q", line)
		}
	}
}

// What a server answers decides whether the message is tried again.
func TestSMTPAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault     mailbox.Fault
		temporary bool
		hard      bool
	}{
		"down":       {fault: mailbox.Down, temporary: true},
		"greylisted": {fault: mailbox.Temporary, temporary: true},
		"no mailbox": {fault: mailbox.Permanent, hard: true},
		"unwelcome":  {fault: mailbox.Policy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := box(t)
			b.Misbehave(c.fault, "")
			err := sender(t, b.URL(), "local").Send(t.Context(), message("a@example.com"))
			var no *mail.Rejected
			switch {
			case c.temporary && errs.KindOf(err) != errs.Unavailable:
				t.Errorf("not temporary: %v", err)
			case !c.temporary && (!errors.As(err, &no) || no.Hard != c.hard || no.Code != 550 || no.Unwrap() == nil || !strings.Contains(no.Error(), "550")):
				t.Errorf("not final: %v", err)
			}
			if n := len(b.Messages("")); n != 0 {
				t.Errorf("%d messages taken", n)
			}
			b.Misbehave(mailbox.Healthy, "")
			if err := sender(t, b.URL(), "local").Send(t.Context(), message("a@example.com")); err != nil {
				t.Errorf("once it is well: %v", err)
			}
		})
	}
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := nobody.Addr().String()
	_ = nobody.Close()
	if err := sender(t, "smtp://"+addr+"?tls=none", "local").Send(t.Context(), message("a@example.com")); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("nobody listens: %v", err)
	}
}

// Whether a message was taken is known, or said not to be: also when the time is
// up in the middle of it.
func TestUnanswered(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		taken func(conn net.Conn, stop func()) // as the server has the message
		mails int
		want  func(error) bool
	}{
		"the connection ends": {func(conn net.Conn, _ func()) { _ = conn.Close() }, 1, func(err error) bool {
			var unknown *mail.Unanswered
			return errors.As(err, &unknown) && unknown.Unwrap() != nil && errs.KindOf(err) != errs.Unavailable
		}},
		"the time ends before the answer": {func(_ net.Conn, stop func()) { stop() }, 1, func(err error) bool { return err == nil }},
		"the time was over":               {nil, 0, func(err error) bool { return errs.KindOf(err) == errs.Unavailable }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if c.taken == nil {
				stop()
			}
			b := box(t, mailbox.WithTaken(func(conn net.Conn) { c.taken(conn, stop) }))
			if err := sender(t, b.URL(), "local").Send(ctx, message("a@example.com")); !c.want(err) {
				t.Errorf("sent with %v", err)
			}
			if n := len(b.Messages("")); n != c.mails {
				t.Errorf("%d mails", n)
			}
		})
	}
}

// The time is up when the server wants to hear the message, which it then does
// not have: nothing is half said.
func TestUnsaid(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := textproto.NewReader(bufio.NewReader(conn))
		for answer := "220 here"; ; {
			_, _ = conn.Write([]byte(answer + "\r\n"))
			if strings.HasPrefix(answer, "354") {
				break
			}
			line, err := r.ReadLine()
			if err != nil {
				break
			}
			if answer = "250 yes"; line == "DATA" {
				stop()
				answer = "354 go on"
			}
		}
		rest, _ := io.ReadAll(r.R)
		heard <- string(rest)
	}()
	if err := sender(t, "smtp://"+l.Addr().String()+"?tls=none", "local").Send(ctx, message("a@example.com")); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("sent with %v", err)
	}
	if text := <-heard; text != "" {
		t.Errorf("the server heard %q", text)
	}
}

// A connection with TLS from the start is one that logs in as well.
func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	b := box(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				up, err := net.Dial("tcp", b.Addr())
				if err != nil {
					return
				}
				defer up.Close()
				go func() { _, _ = io.Copy(up, conn) }()
				_, _ = io.Copy(conn, up)
			}()
		}
	}()
	trusted := mail.WithTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	if err := sender(t, "smtps://"+l.Addr().String(), "production", trusted).Send(t.Context(), message("a@example.com")); err != nil {
		t.Error(err)
	}
	if n := len(b.Messages("a@example.com")); n != 1 {
		t.Errorf("%d messages by implicit TLS", n)
	}
}

// certificate is one for 127.0.0.1, and what trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// Outside of a laptop nothing goes in clear: a server without STARTTLS gets
// nothing, nor does one whose certificate nobody vouches for.
func TestTLSIsMandatory(t *testing.T) {
	t.Parallel()
	cert, pool := certificate(t)
	plain := box(t)
	secure := box(t, mailbox.WithServer(func(s *smtp.Server) {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	}))
	trusted := mail.WithTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})

	for name, s := range map[string]mail.Sender{
		"without STARTTLS":       sender(t, "smtp://"+plain.Addr(), "production"),
		"smtps to a plain one":   sender(t, "smtps://"+plain.Addr(), "production"),
		"a stranger's":           sender(t, "smtp://"+secure.Addr(), "production"),
		"a password in clear":    sender(t, "smtp://user:secret@"+plain.Addr()+"?tls=none", "local"),
		"a server without login": sender(t, "smtp://user:secret@"+secure.Addr(), "production", trusted),
	} {
		if err := s.Send(t.Context(), message("a@example.com")); errs.KindOf(err) != errs.Unavailable || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(plain.Messages("")) + len(secure.Messages("")); n != 0 {
		t.Errorf("%d messages went", n)
	}
	if err := sender(t, "smtp://"+secure.Addr(), "production", trusted).Send(t.Context(), message("a@example.com")); err != nil {
		t.Error(err)
	}
	if n := len(secure.Messages("a@example.com")); n != 1 {
		t.Errorf("%d messages by STARTTLS", n)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for url, environments := range map[string]string{
		"smtp://mail.example.com":                         "local production",
		"smtp://mail.example.com:2525":                    "local production",
		"smtps://u:p@mail.example.com:465":                "local production",
		"sendgrid://SG.key@api.sendgrid.com":              "local production",
		"sendgrid://SG.key@api.sendgrid.com?sandbox=true": "local production",
		"smtp://127.0.0.1:1025?tls=none":                  "local",
		"sendgrid+http://SG.key@127.0.0.1:1":              "local",
		"smtp://u@mail.example.com":                       "",
		"smtps://mail.example.com?tls=none":               "",
		"smtp://mail.example.com?tls=maybe":               "",
		"smtp://mail.example.com?timeout=1":               "",
		"sendgrid://api.sendgrid.com":                     "",
		"smtp://mail.example.com/path":                    "",
		"http://mail.example.com":                         "",
		"smtp://":                                         "",
		"smtp://u:p@%zz":                                  "",
	} {
		for _, environment := range []string{"local", "production", ""} {
			vars := map[string]string{"MAIL_URL": url, "MAIL_FROM": from, "DEPLOYMENT_ENVIRONMENT": environment}
			_, err := config.Load[mail.Config](config.Map(vars))
			want := strings.Contains(environments, environment) && environment != "" || environment == "" && strings.Contains(environments, "production")
			if (err == nil) != want {
				t.Errorf("%s in %q: %v", url, environment, err)
			}
			if err != nil && strings.Contains(err.Error(), "SG.key") {
				t.Errorf("the error quotes the key: %v", err)
			}
		}
	}
	for name, value := range map[string]string{"MAIL_FROM": "nobody", "MAIL_REPLY_TO": "a@b@c", "MAIL_TIMEOUT": "1h", "MAIL_URL": ""} {
		vars := map[string]string{"MAIL_URL": "smtp://mail.example.com", "MAIL_FROM": from}
		vars[name] = value
		if _, err := config.Load[mail.Config](config.Map(vars)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	if _, err := mail.Open(mail.Config{}); err == nil {
		t.Error("opened with nothing")
	}
}

// A line break in what people wrote must not become a header.
func TestHeaderInjection(t *testing.T) {
	t.Parallel()
	b := box(t)
	s := sender(t, b.URL(), "local")
	for name, spoil := range map[string]func(*mail.Message){
		"subject":      func(m *mail.Message) { m.Subject = "x\r\nBcc: victim@example.com" },
		"name":         func(m *mail.Message) { m.To.Name = "x\nBcc: victim@example.com" },
		"sender":       func(m *mail.Message) { m.From = mail.Address{Name: "x\r\nX: y", Address: "a@example.com"} },
		"address":      func(m *mail.Message) { m.To.Address = "a@example.com\r\nRCPT TO:<victim@example.com>" },
		"two":          func(m *mail.Message) { m.To.Address = "a@example.com, victim@example.com" },
		"header value": func(m *mail.Message) { m.Headers[0].Value = "x\r\nBcc: victim@example.com" },
		"header name":  func(m *mail.Message) { m.Headers[0].Name = "X: y\r\nBcc" },
		"no id":        func(m *mail.Message) { m.ID = "" },
		"no text":      func(m *mail.Message) { m.Text = "" },
	} {
		m := message("a@example.com")
		spoil(&m)
		if err := s.Send(t.Context(), m); err == nil {
			t.Errorf("%s went out", name)
		}
	}
	if n := len(b.Messages("")); n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", strings.Join([]string{" ", "two\r\n", "lines\t", ""}, " "): "two lines", "bell\x07": "bell", "a\u2028b": "a b", "\u202eevil": "evil",
		strings.Repeat("é", 12): strings.Repeat("é", 9) + "…", "": "",
	} {
		if got := mail.Line(in, 10); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestMessageID(t *testing.T) {
	t.Parallel()
	id := ids.New()
	one := mail.MessageID(id, "Ada@example.com", mail.Domain("no-reply@mail.example.com"))
	if one != mail.MessageID(id, "ada@EXAMPLE.com", "mail.example.com") || !strings.HasSuffix(one, "@mail.example.com") {
		t.Errorf("not stable: %s", one)
	}
	if one == mail.MessageID(id, "bob@example.com", "mail.example.com") || one == mail.MessageID(ids.New(), "ada@example.com", "mail.example.com") {
		t.Error("one id for two mails")
	}
	if bytes.Contains([]byte(one), []byte("ada")) {
		t.Errorf("the id tells the address: %s", one)
	}
}
