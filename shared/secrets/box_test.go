package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
)

type fixedRing struct{ ring *Ring }

func (f fixedRing) Get(context.Context) (*Ring, error) {
	if f.ring == nil {
		return nil, errors.New("no ring")
	}
	return f.ring, nil
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestBoxRoundTripAndBinding(t *testing.T) {
	t.Parallel()
	box := NewBox(fixedRing{GenerateRing(start)})
	to := Binding{Purpose: "oidc-refresh-token", Tenant: ids.New(), User: ids.New()}
	for _, plain := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("long"), 4096)} {
		sealed, err := box.Seal(t.Context(), plain, to)
		if err != nil {
			t.Fatal(err)
		}
		got, err := box.Open(t.Context(), sealed, to)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("opened %q, %v", got, err)
		}
	}
	sealed, err := box.Seal(t.Context(), []byte("secret"), to)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]Binding{
		"tenant":  {to.Purpose, ids.New(), to.User},
		"user":    {to.Purpose, to.Tenant, ids.New()},
		"swapped": {to.Purpose, to.User, to.Tenant},
		"purpose": {"totp-seed", to.Tenant, to.User},
		"none":    {},
	} {
		if _, err := box.Open(t.Context(), sealed, other); !errors.Is(err, ErrSealed) {
			t.Errorf("%s: opened under another binding: %v", name, err)
		}
	}
}

func TestBoxRefusesEveryChangedByte(t *testing.T) {
	t.Parallel()
	box := NewBox(fixedRing{GenerateRing(start)})
	to := Binding{Purpose: "p", Tenant: ids.New()}
	sealed, err := box.Seal(t.Context(), []byte("secret"), to)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("sealed in clear")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := box.Open(t.Context(), changed, to); !errors.Is(err, ErrSealed) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, err := box.Open(t.Context(), sealed[:i], to); !errors.Is(err, ErrSealed) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	if _, err := box.Open(t.Context(), append(bytes.Clone(sealed), 0), to); !errors.Is(err, ErrSealed) {
		t.Errorf("lengthened: %v", err)
	}
	again, err := box.Seal(t.Context(), []byte("secret"), to)
	if err != nil || bytes.Equal(again, sealed) {
		t.Errorf("the same plaintext seals to the same bytes (%v)", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	now := start
	old := GenerateRing(now)
	to := Binding{Purpose: "p"}
	box := &Box{ring: fixedRing{old}, now: func() time.Time { return now }}
	sealed, err := box.Seal(t.Context(), []byte("v"), to)
	if err != nil {
		t.Fatal(err)
	}

	both := old.Rotate(now, 0)
	box.ring = fixedRing{both}
	if both.Current(now).ID != old.Current(now).ID {
		t.Error("a new key is used before every instance can know it")
	}
	if stale, err := box.Stale(t.Context(), sealed); err != nil || stale {
		t.Errorf("stale before the new key's time: %v %v", stale, err)
	}
	now = now.Add(Lead)
	if both.Current(now).ID == old.Current(now).ID {
		t.Error("the new key never takes over")
	}
	if got, err := box.Open(t.Context(), sealed, to); err != nil || string(got) != "v" {
		t.Errorf("the older key does not read: %v", err)
	}
	if stale, err := box.Stale(t.Context(), sealed); err != nil || !stale {
		t.Errorf("not stale: %v %v", stale, err)
	}

	// Not dropped while young enough, dropped once replaced longer ago than keep.
	if n := len(both.Rotate(now.Add(time.Hour), 24*time.Hour).Keys()); n != 3 {
		t.Errorf("%d keys, want 3", n)
	}
	late := both.Rotate(now.Add(25*time.Hour), 24*time.Hour)
	if _, ok := late.Key(old.Current(now).ID); ok || len(late.Keys()) != 2 {
		t.Errorf("the replaced key stayed: %d keys", len(late.Keys()))
	}
	box.ring = fixedRing{late}
	if _, err := box.Open(t.Context(), sealed, to); !errors.Is(err, ErrSealed) {
		t.Errorf("opened without its key: %v", err)
	}
	if _, err := box.Stale(t.Context(), []byte{1}); !errors.Is(err, ErrSealed) {
		t.Errorf("garbage: %v", err)
	}

	box.ring = fixedRing{}
	if _, err := box.Seal(t.Context(), nil, to); err == nil {
		t.Error("sealed without a ring")
	}
	if _, err := box.Open(t.Context(), sealed, to); err == nil {
		t.Error("opened without a ring")
	}
	if _, err := box.Stale(t.Context(), sealed); err == nil {
		t.Error("judged without a ring")
	}
}

func TestRingJSON(t *testing.T) {
	t.Parallel()
	ring := GenerateRing(start).Rotate(start, 0)
	data, err := json.Marshal(ring)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseRing(data)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range ring.Keys() {
		if got := back.Keys()[i]; got.ID != k.ID || !got.NotBefore.Equal(k.NotBefore) || !bytes.Equal(got.Bytes, k.Bytes) {
			t.Errorf("key %d did not survive", i)
		}
	}
	if printed := fmt.Sprintf("%v %+v %#v", ring, ring, ring); strings.Contains(printed, fmt.Sprint(ring.Keys()[0].Bytes)) {
		t.Error("printing shows the keys")
	}
	early := back.Current(start.Add(-time.Hour))
	if early.ID != back.Keys()[1].ID {
		t.Error("before any key's time the oldest is not the one")
	}

	k := strings.Repeat("A", 43)
	for name, text := range map[string]string{
		"empty":     `{"keys":[]}`,
		"null":      `null`,
		"not JSON":  `secret-in-error`,
		"two":       string(data) + string(data),
		"unknown":   `{"keys":[],"other":1}`,
		"short key": `{"keys":[{"kid":"a","k":"AAAA"}]}`,
		"no kid":    `{"keys":[{"k":"` + k + `"}]}`,
		"bad kid":   `{"keys":[{"kid":"a.b","k":"` + k + `"}]}`,
		"twice":     `{"keys":[{"kid":"a","k":"` + k + `"},{"kid":"a","k":"` + k + `"}]}`,
	} {
		if _, err := ParseRing([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "secret-in-error") || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: the error quotes the secret: %v", name, err)
		}
	}
}

func FuzzBoxOpen(f *testing.F) {
	box := NewBox(fixedRing{GenerateRing(start)})
	good, err := box.Seal(f.Context(), []byte("x"), Binding{Purpose: "p"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:len(good)-1])
	f.Add([]byte{1, 255})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if plain, err := box.Open(t.Context(), sealed, Binding{Purpose: "p"}); err == nil && !bytes.Equal(sealed, good) {
			t.Errorf("opened a forgery: %q", plain)
		}
		if _, err := box.Stale(t.Context(), sealed); err != nil && !errors.Is(err, ErrSealed) {
			t.Error(err)
		}
	})
}
