package domain

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"
)

type zone struct {
	texts []string
	err   error
}

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	if name != "_coditect-challenge.work.example.com." {
		return nil, errors.New("asked for " + name)
	}
	return z.texts, z.err
}

func TestLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone   zone
		want   Answer
		reason bool
	}{
		"there":             {zone{texts: []string{"v=spf1 -all", "coditect-verification=abc"}}, Present, false},
		"with blanks":       {zone{texts: []string{" coditect-verification=abc "}}, Present, false},
		"another's":         {zone{texts: []string{"coditect-verification=abcd"}}, Absent, false},
		"other records":     {zone{texts: []string{"v=spf1 -all"}}, Absent, false},
		"no such name":      {zone{err: &net.DNSError{Err: "no such host", IsNotFound: true}}, Absent, false},
		"no answer":         {zone{err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, Unknown, true},
		"the server fails":  {zone{err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}, Unknown, true},
		"something else":    {zone{err: errors.New("network unreachable")}, Unknown, true},
		"a name in trouble": {zone{err: &net.DNSError{Err: "lame", IsNotFound: true, IsTemporary: true}}, Unknown, true},
	} {
		got, err := Look(t.Context(), c.zone, "work.example.com", "abc")
		if got != c.want || (err != nil) != c.reason {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestNewResolver(t *testing.T) {
	t.Parallel()
	if NewResolver("") != net.DefaultResolver {
		t.Error("without a server it is not the system's")
	}
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := make(chan struct{})
	go func() {
		buf := make([]byte, 512)
		if _, _, err := l.ReadFrom(buf); err == nil {
			close(asked)
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		select {
		case <-asked:
		case <-time.After(10 * time.Second):
			t.Error("the server was not asked")
		}
		stop()
	}()
	if got, err := Look(ctx, NewResolver(l.LocalAddr().String()), "work.example.com", "abc"); got != Unknown || err == nil {
		t.Errorf("a server that is silent gives %v, %v", got, err)
	}
}
