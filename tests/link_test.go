package tests

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// link is a way to the database that can be cut and mended.
type link struct {
	url    string
	target string
	l      net.Listener

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

func newLink(t *testing.T, target string) *link {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	k := &link{target: u.Host, l: l, conns: map[net.Conn]bool{}}
	u.Host = l.Addr().String()
	k.url = u.String()
	go k.run()
	return k
}

func (k *link) run() {
	for {
		client, err := k.l.Accept()
		if err != nil {
			return
		}
		go k.carry(client)
	}
}

func (k *link) carry(client net.Conn) {
	server, err := net.Dial("tcp", k.target)
	if err != nil || !k.hold(client, server) {
		_ = client.Close()
		if err == nil {
			_ = server.Close()
		}
		return
	}
	go func() {
		copyAll(client, server)
		_ = client.Close()
	}()
	copyAll(server, client)
	_ = server.Close()
}

func (k *link) hold(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return false
	}
	for _, c := range conns {
		k.conns[c] = true
	}
	return true
}

// cut breaks every connection and refuses new ones.
func (k *link) cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = true
	for c := range k.conns {
		_ = c.Close()
	}
	clear(k.conns)
}

func (k *link) mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = false
}
