package hop

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/secrets"
)

type fixed struct{ ring *secrets.Ring }

func (f *fixed) Get(context.Context) (*secrets.Ring, error) {
	if f.ring == nil {
		return nil, errors.New("no ring")
	}
	return f.ring, nil
}

func keys(at time.Time) (*Keys, *fixed, *time.Time) {
	ring := &fixed{secrets.GenerateRing(at)}
	now := at
	k := New(ring)
	k.now = func() time.Time { return now }
	return k, ring, &now
}

var start = time.Unix(1790000000, 0)

const path = "/api/v1/tasks/"

func TestSignVerify(t *testing.T) {
	t.Parallel()
	k, _, _ := keys(start)
	for _, ip := range []string{"203.0.113.9", "2001:db8::1", "::ffff:203.0.113.9", ""} {
		var client netip.Addr
		if ip != "" {
			client = netip.MustParseAddr(ip)
		}
		h, err := k.Sign(t.Context(), "GET", path, client, "req-1.a_B")
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Verify(t.Context(), h, "GET", path)
		if err != nil || got.ClientIP != client.Unmap() || got.RequestID != "req-1.a_B" || !got.At.Equal(start) {
			t.Errorf("%s: %+v %v", ip, got, err)
		}
	}
}

func TestTrapT28NothingOfAHopCanBeChanged(t *testing.T) {
	t.Parallel()
	k, _, now := keys(start)
	client := netip.MustParseAddr("203.0.113.9")
	h, err := k.Sign(t.Context(), "POST", path, client, "req-1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range h {
		for _, c := range []byte{'A', 'b', '1', '.', h[i] ^ 1} {
			if changed := h[:i] + string(c) + h[i+1:]; changed != h {
				if _, err := k.Verify(t.Context(), changed, "POST", path); !errors.Is(err, ErrInvalid) {
					t.Errorf("byte %d as %q: %v", i, c, err)
				}
			}
		}
		if _, err := k.Verify(t.Context(), h[:i], "POST", path); !errors.Is(err, ErrInvalid) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	for name, try := range map[string][3]string{
		"method": {h, "GET", path}, "path": {h, "POST", path + "x/"}, "both joined": {h, "POST/api", "/v1/tasks/"},
		"version": {"v2" + h[2:], "POST", path}, "twice": {h + "," + h, "POST", path}, "space": {" " + h, "POST", path},
		"empty": {"", "POST", path}, "long": {h + strings.Repeat("A", 600), "POST", path}, "plus sign": {"v1.+" + h[3:], "POST", path},
	} {
		if _, err := k.Verify(t.Context(), try[0], try[1], try[2]); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for age, ok := range map[time.Duration]bool{Window: true, Window + time.Second: false, -Window: true, -Window - time.Second: false} {
		*now = start.Add(age)
		if _, err := k.Verify(t.Context(), h, "POST", path); (err == nil) != ok {
			t.Errorf("%v later: %v", age, err)
		}
	}
}

func TestKeysRotate(t *testing.T) {
	t.Parallel()
	k, ring, now := keys(start)
	old, err := k.Sign(t.Context(), "GET", path, netip.Addr{}, "r")
	if err != nil {
		t.Fatal(err)
	}
	ring.ring = ring.ring.Rotate(start.Add(-secrets.Lead), 0)
	*now = start.Add(time.Second)
	fresh, err := k.Sign(t.Context(), "GET", path, netip.Addr{}, "r")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{old, fresh} {
		if _, err := k.Verify(t.Context(), h, "GET", path); err != nil {
			t.Error(err)
		}
	}
	ring.ring = secrets.GenerateRing(start)
	for _, h := range []string{old, fresh} {
		if _, err := k.Verify(t.Context(), h, "GET", path); !errors.Is(err, ErrInvalid) {
			t.Errorf("a foreign key signs: %v", err)
		}
	}
	ring.ring = nil
	if _, err := k.Verify(t.Context(), old, "GET", path); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("no key to check with: %v", err)
	}
	if _, err := k.Sign(t.Context(), "GET", path, netip.Addr{}, "r"); err == nil {
		t.Error("signed without a key")
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	k, _, _ := keys(start)
	for id, ok := range map[string]bool{"a": true, strings.Repeat("a", 128): true, "A-b_c.9": true,
		"": false, strings.Repeat("a", 129): false, "a b": false, "a\nb": false, "a\x00": false, "é": false, "a,b": false, `a"b`: false} {
		if ValidRequestID(id) != ok {
			t.Errorf("%q: %v", id, !ok)
		}
		if _, err := k.Sign(t.Context(), "GET", path, netip.Addr{}, id); (err == nil) != ok {
			t.Errorf("%q signed: %v", id, err)
		}
	}
}

func TestStrip(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"X-Coditect-Hop": {"forged"}, "x-coditect-anything": {"1"}, "X_coditect_hop": {"1"}, "X-Coditect-": {""},
		"X-User-Id": {"1"}, "X-Serverless-Authorization": {"Bearer x"}, "X-Goog-Iap-Jwt-Assertion": {"x"}, "X-Original-Url": {"/admin"},
		"Authorization": {"Bearer y"}, "X-Tenant-Id": {"t"}, "X-Request-Id": {"r"}, "Traceparent": {"00"}, "Coditect": {"kept"},
	}
	StripRequest(h)
	for _, kept := range []string{"Authorization", "X-Tenant-Id", "X-Request-Id", "Traceparent", "Coditect"} {
		if h[kept] == nil {
			t.Errorf("%s is gone", kept)
		}
	}
	if len(h) != 5 {
		t.Errorf("left: %v", h)
	}
	h = http.Header{Outbox: {"1"}, "Etag": {"x"}}
	StripResponse(h)
	if len(h) != 1 {
		t.Errorf("left: %v", h)
	}
}

func FuzzVerify(f *testing.F) {
	k, _, _ := keys(start)
	good, err := k.Sign(f.Context(), "GET", path, netip.MustParseAddr("203.0.113.9"), "req-1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("v1.1790000000...")
	f.Add("v1.-1.AAAA.r.AAAA")
	f.Add("v1....")
	f.Fuzz(func(t *testing.T, header string) {
		if _, err := k.Verify(t.Context(), header, "GET", path); err == nil && strings.NewReplacer("\n", "", "\r", "").Replace(header) != good {
			t.Errorf("a forgery holds: %q", header)
		} else if err != nil && !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	k, _, _ := keys(start)
	h, err := k.Sign(context.Background(), "GET", path, netip.MustParseAddr("203.0.113.9"), "req-1")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Verify(context.Background(), h, "GET", path); err != nil {
			b.Fatal(err)
		}
	}
}
