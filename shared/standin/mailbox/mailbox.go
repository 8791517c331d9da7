// Package mailbox is a stand-in for a mail provider: an SMTP server that keeps
// what it is sent, and pages that show it. On a laptop it is where the
// platform's mail goes; in tests it is also the server that is down, slow, or
// says no. No production package imports it.
//
// [Open] starts it, [Box.URL] is for MAIL_URL, and [Box.Handler] serves the
// mailbox at [Prefix] with a JSON API for tests, and the pages that the links
// in the mails lead to (set APP_URL to the platform's address and [LinkPath]),
// as the platform has no frontend of its own.
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMessage is the largest message taken, in bytes.
const maxMessage = 2 << 20

// A Fault is how the server misbehaves.
type Fault string

// The faults.
const (
	Healthy   Fault = ""          // takes everything
	Down      Fault = "down"      // closes each connection
	Temporary Fault = "temporary" // 451 to each recipient
	Permanent Fault = "permanent" // 550 5.1.1: there is no such mailbox
	Policy    Fault = "policy"    // 550 5.7.1: not from you
	Slow      Fault = "slow"      // takes everything, after a while
)

// Box is a running server.
type Box struct {
	store    *store
	server   *smtp.Server
	listener net.Listener
	addr     string
	done     chan error

	mu    sync.Mutex
	fault Fault
	only  string // the one recipient the fault is for; empty is all
	delay time.Duration
	taken func(net.Conn)
}

type options struct {
	dir  string
	keep int
	log  *slog.Logger
	conf func(*smtp.Server)

	taken func(net.Conn)
}

// An Option changes a Box from the ordinary.
type Option func(*options)

// WithDir keeps the messages in a folder, so that they are there after a
// restart. Without it they go with the process.
func WithDir(dir string) Option { return func(o *options) { o.dir = dir } }

// WithKeep keeps that many messages, the newest; 500 without it.
func WithKeep(n int) Option { return func(o *options) { o.keep = n } }

// WithLog says what the server has to complain about.
func WithLog(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// WithServer changes the SMTP server before it starts: its TLS, for tests.
func WithServer(change func(*smtp.Server)) Option { return func(o *options) { o.conf = change } }

// WithTaken calls fn after each message was taken and before its sender is told,
// with the sender's connection: for tests of what happens in between.
func WithTaken(fn func(net.Conn)) Option { return func(o *options) { o.taken = fn } }

// Open listens on addr ("127.0.0.1:0" takes any port) and serves until
// [Box.Close].
func Open(addr string, opts ...Option) (*Box, error) {
	o := options{keep: 500, log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(&o)
	}
	kept, err := openStore(o.dir, o.keep)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("mailbox: %w", err)
	}
	b := &Box{store: kept, listener: listener, addr: listener.Addr().String(), done: make(chan error, 1), delay: 3 * time.Second, taken: o.taken}
	b.server = smtp.NewServer(smtp.BackendFunc(b.session))
	b.server.Domain = "localhost"
	b.server.MaxMessageBytes = maxMessage
	b.server.MaxRecipients = 50
	b.server.ReadTimeout, b.server.WriteTimeout = time.Minute, time.Minute
	b.server.EnableSMTPUTF8 = true
	b.server.ErrorLog = complaints{o.log}
	if o.conf != nil {
		o.conf(b.server)
	}
	go func() { b.done <- b.server.Serve(listener) }()
	return b, nil
}

// Addr is where the server listens.
func (b *Box) Addr() string { return b.addr }

// URL is the server as MAIL_URL, for an environment that is local.
func (b *Box) URL() string { return "smtp://" + b.addr + "?tls=none" }

// Close stops the server. What it took stays in its folder.
func (b *Box) Close() error {
	err := b.server.Close()
	// The server knows its listener only once Serve has begun.
	_ = b.listener.Close()
	if served := <-b.done; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// Misbehave makes the server behave as fault says, towards the recipient only
// or, with "", towards all.
func (b *Box) Misbehave(fault Fault, only string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault, b.only = fault, only
}

func (b *Box) faultFor(recipient string) (Fault, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.only != "" && b.only != recipient {
		return Healthy, 0
	}
	return b.fault, b.delay
}

func (b *Box) session(c *smtp.Conn) (smtp.Session, error) {
	if fault, _ := b.faultFor(""); fault == Down {
		_ = c.Conn().Close()
		return nil, &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "down"}
	}
	return &session{box: b, conn: c.Conn()}, nil
}

// session is one client's.
type session struct {
	box  *Box
	conn net.Conn
	from string
	to   []string
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	fault, delay := s.box.faultFor(to)
	switch fault {
	case Temporary:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Try again later"}
	case Permanent:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such mailbox"}
	case Policy:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "Not accepted"}
	case Slow:
		<-time.After(delay)
	case Healthy, Down:
	}
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	err = s.box.store.add(s.from, s.to, raw)
	if err == nil && s.box.taken != nil {
		s.box.taken(s.conn)
	}
	return err
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// complaints is the server's logger.
type complaints struct{ log *slog.Logger }

// Printf implements smtp.Logger.
func (c complaints) Printf(format string, v ...any) {
	c.log.Debug("mailbox", "complaint", fmt.Sprintf(format, v...))
}

// Println implements smtp.Logger.
func (c complaints) Println(v ...any) { c.log.Debug("mailbox", "complaint", fmt.Sprint(v...)) }
