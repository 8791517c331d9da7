package tests

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/coditect/platform/shared/ids"
)

// settingProxy stands between a function and PgBouncer and replaces what
// app.set_tenant and app.set_user are given, so that the settings of a
// transaction and the parameters of its statements disagree. The product has
// no switch for that, and must not.
type settingProxy struct {
	url     string
	changed atomic.Int64
}

func newSettingProxy(t *testing.T, target string, tenant, user ids.ID) *settingProxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	u.Host = l.Addr().String()
	p := &settingProxy{url: u.String()}
	go func() {
		for {
			client, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			go intercept(client, server, p.swap(tenant, user))
		}
	}()
	return p
}

// swap is what one connection's messages go through.
func (p *settingProxy) swap(tenant, user ids.ID) func(pgproto3.FrontendMessage) {
	var replace *ids.ID
	return func(m pgproto3.FrontendMessage) {
		switch m := m.(type) {
		case *pgproto3.Parse:
			replace = nil
			switch {
			case strings.Contains(m.Query, "app.set_tenant("):
				replace = &tenant
			case strings.Contains(m.Query, "app.set_user("):
				replace = &user
			}
		case *pgproto3.Bind:
			if replace != nil && len(m.Parameters) == 1 {
				if len(m.Parameters[0]) == len(replace) {
					m.Parameters[0] = replace[:]
				} else {
					m.Parameters[0] = []byte(replace.String())
				}
				p.changed.Add(1)
			}
		}
	}
}

// intercept carries a connection to PgBouncer and shows each of the client's
// messages to see, which may change it, on its way.
func intercept(client net.Conn, server string, see func(pgproto3.FrontendMessage)) {
	defer client.Close()
	up, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		defer client.Close()
		defer up.Close()
		copyAll(client, up)
	}()
	front := pgproto3.NewBackend(client, client)
	back := pgproto3.NewFrontend(up, up)
	start, err := front.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, ok := start.(*pgproto3.StartupMessage); !ok {
		return // neither TLS nor cancellation is asked for here
	}
	back.Send(start)
	for back.Flush() == nil {
		// Every password message of SCRAM has the same tag; passing it on
		// unread needs no knowledge of which it is.
		if err := front.SetAuthType(pgproto3.AuthTypeSASLContinue); err != nil {
			return
		}
		m, err := front.Receive()
		if err != nil {
			return
		}
		see(m)
		back.Send(m)
	}
}

func copyAll(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
