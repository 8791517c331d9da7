package page

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
)

var (
	now  = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	keyA = Key{ID: "a", Secret: []byte("0123456789abcdef0123456789abcdef")}
	keyB = Key{ID: "b", Secret: []byte("fedcba9876543210fedcba9876543210")}
	mine = Binding{Tenant: ids.ID{1}, Operation: "list-tasks", Filters: "f"}
	some = Cursor{Order: RecentlyUpdated, Backward: true, Inclusive: true, Time: time.Date(2026, 4, 30, 1, 2, 3, 456789000, time.UTC), ID: ids.ID{7}}
)

func codec(at time.Time, keys ...Key) *Codec {
	return NewCodec(FixedKeys(keys), func() time.Time { return at })
}

func encoded(t testing.TB, c *Codec) string {
	t.Helper()
	text, err := c.Encode(t.Context(), mine, some)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCodec(t *testing.T) {
	t.Parallel()
	for _, c := range []Cursor{some, {Order: Newest, Time: time.UnixMicro(-5).UTC()}, {Order: Oldest, Time: now, Backward: true}, {Order: LeastUpdated, Time: now, Inclusive: true}} {
		text, err := codec(now, keyA).Encode(t.Context(), mine, c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := codec(now.Add(time.Hour), keyA).Decode(t.Context(), mine, text); err != nil || got != c {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
		if strings.ContainsAny(text, "+/=&") || len(text) > 64 {
			t.Errorf("text %q", text)
		}
	}
}

func TestCursorsThatDoNotHold(t *testing.T) {
	t.Parallel()
	text := encoded(t, codec(now, keyA))
	for name, try := range map[string]struct {
		codec *Codec
		to    Binding
		text  string
	}{
		"other tenant":          {codec(now, keyA), Binding{Tenant: ids.ID{2}, Operation: "list-tasks", Filters: "f"}, text},
		"other person":          {codec(now, keyA), Binding{Tenant: ids.ID{1}, User: ids.ID{1}, Operation: "list-tasks", Filters: "f"}, text},
		"other operation":       {codec(now, keyA), Binding{Tenant: ids.ID{1}, Operation: "list-task", Filters: "sf"}, text},
		"other filters":         {codec(now, keyA), Binding{Tenant: ids.ID{1}, Operation: "list-tasks", Filters: "g"}, text},
		"stale":                 {codec(now.Add(MaxAge+time.Second), keyA), mine, text},
		"of the future":         {codec(now.Add(-2*time.Minute), keyA), mine, text},
		"other key":             {codec(now, keyB), mine, text},
		"no key":                {codec(now), mine, text},
		"same id, other secret": {codec(now, Key{"a", keyB.Secret}), mine, text},
		"empty":                 {codec(now, keyA), mine, ""},
		"short":                 {codec(now, keyA), mine, text[:len(text)-1]},
		"long":                  {codec(now, keyA), mine, text + "A"},
		"newline":               {codec(now, keyA), mine, text[:len(text)-1] + "\n"},
		"padding":               {codec(now, keyA), mine, text + "="},
	} {
		if _, err := try.codec.Decode(t.Context(), try.to, try.text); !errors.Is(err, ErrCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if errs.KindOf(ErrCursor) != errs.Malformed {
		t.Error("the kind")
	}
	// Every single bit counts.
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	for i := range len(raw) * 8 {
		bad := append([]byte{}, raw...)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := codec(now, keyA).Decode(t.Context(), mine, base64.RawURLEncoding.EncodeToString(bad)); !errors.Is(err, ErrCursor) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	if _, err := codec(now, keyA).Decode(t.Context(), mine, text); err != nil {
		t.Errorf("the untouched one: %v", err)
	}
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	old := encoded(t, codec(now, keyA))
	if _, err := codec(now, keyB, keyA).Decode(t.Context(), mine, old); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	fresh := encoded(t, codec(now, keyB, keyA))
	if _, err := codec(now, keyA).Decode(t.Context(), mine, fresh); !errors.Is(err, ErrCursor) {
		t.Errorf("signed with the old key: %v", err)
	}
	if _, err := codec(now).Encode(t.Context(), mine, some); err == nil {
		t.Error("signed with nothing")
	}
	if _, err := codec(now, Key{ID: "x"}).Encode(t.Context(), mine, some); err == nil {
		t.Error("signed with an empty key")
	}
	down := NewCodec(brokenKeys{}, nil)
	if _, err := down.Encode(t.Context(), mine, some); !errors.Is(err, errDown) {
		t.Errorf("encode: %v", err)
	}
	if _, err := down.Decode(t.Context(), mine, old); !errors.Is(err, errDown) {
		t.Errorf("decode: %v", err)
	}
}

var errDown = errors.New("down")

type brokenKeys struct{}

func (brokenKeys) CursorKeys(context.Context) ([]Key, error) { return nil, errDown }

func FuzzDecode(f *testing.F) {
	c := codec(now, keyA)
	text, err := c.Encode(f.Context(), mine, some)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("")
	f.Add(strings.Repeat("A", 63))
	f.Fuzz(func(t *testing.T, s string) {
		got, err := c.Decode(t.Context(), mine, s)
		if (err == nil) != (s == text) {
			t.Fatalf("%q: %+v %v", s, got, err)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	c := codec(now, keyA)
	text := encoded(b, c)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Encode(b.Context(), mine, some); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Decode(b.Context(), mine, text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
