package domain

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
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

func TestClean(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 63)
	for given, want := range map[string]string{
		"work.example.com": "work.example.com", "Work.EXAMPLE.Com.": "work.example.com", "xn--bcher-kva.example": "xn--bcher-kva.example", "a.bc": "a.bc", "1.2.example": "1.2.example",
		long + ".example": long + ".example", long + "a.example": "", "example": "", "example.": "", "": "", ".": "", "a..b": "", ".example.com": "", "example.com..": "",
		"-a.example": "", "a-.example": "", "a_b.example": "", "a b.example": "", "bücher.example": "", "127.0.0.1": "", "1.2": "", "a.0x": "a.0x", "*.example.com": "",
		"example.com/path": "", "https://example.com": "", "example.com:443": "", "a\x00.example": "", "\u212a.example": "",
		strings.Repeat("a.", 126) + "a": strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 127) + "a": "",
	} {
		switch name, fault := Clean(given); {
		case (fault == "") != (want != ""):
			t.Errorf("%q: %q", given, fault)
		case fault == "" && name != want:
			t.Errorf("%q is %q, want %q", given, name, want)
		}
	}
	if !Within("a.example.com", "example.com") || !Within("example.com", "example.com") || Within("anexample.com", "example.com") {
		t.Error("what lies within a domain is not told")
	}
}

// FuzzClean holds that what passes is what the database and the router take.
func FuzzClean(f *testing.F) {
	f.Add("Work.Example.com.")
	f.Add("a-.b")
	form := regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	f.Fuzz(func(t *testing.T, given string) {
		name, fault := Clean(given)
		if fault != "" {
			return
		}
		if len(name) < 4 || len(name) > 253 || !form.MatchString(name) {
			t.Errorf("%q passes as %q", given, name)
		}
		if again, fault := Clean(name); again != name || fault != "" {
			t.Errorf("%q becomes %q (%s)", name, again, fault)
		}
	})
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
