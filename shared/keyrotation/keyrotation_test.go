package keyrotation

import (
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/secrets"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func generated(t *testing.T) map[string][]byte {
	t.Helper()
	keys, err := identity.GenerateKeySet(start).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{secrets.SigningKeys: keys}
	for _, name := range []string{secrets.HopKey, secrets.CursorKey, secrets.EnvelopeKeys} {
		if out[name], err = secrets.GenerateRing(start).MarshalJSON(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// kids lists the ids of a secret's keys and the one in use.
func kids(t *testing.T, name string, data []byte, now time.Time) (count int, current string) {
	t.Helper()
	if name == secrets.SigningKeys {
		set, err := identity.ParseKeySet(data)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(data), `"kid"`), set.Current(now).ID
	}
	r, err := secrets.ParseRing(data)
	if err != nil {
		t.Fatal(err)
	}
	return len(r.Keys()), r.Current(now).ID
}

func TestNextCountsAfterItsLead(t *testing.T) {
	t.Parallel()
	for name, data := range generated(t) {
		_, before := kids(t, name, data, start)
		now := start.Add(24 * time.Hour)
		next, err := Next(name, data, now, 0, false)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		count, current := kids(t, name, next, now)
		if count != 2 || current != before {
			t.Errorf("%s: %d keys, %s in use instead of %s", name, count, current, before)
		}
		if _, later := kids(t, name, next, now.Add(kinds[name].lead)); later == before {
			t.Errorf("%s: the new key does not take over after %s", name, kinds[name].lead)
		}
		urgent, err := Next(name, data, now, 0, true)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if count, current := kids(t, name, urgent, now); count != 2 || current == before {
			t.Errorf("%s: at once, %d keys, %s still in use", name, count, current)
		}
	}
}

func TestNextDropsOldKeysOnlyWhenTold(t *testing.T) {
	t.Parallel()
	for name, data := range generated(t) {
		for day := 1; day <= 3; day++ {
			next, err := Next(name, data, start.AddDate(0, 0, day), 0, false)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			data = next
		}
		now := start.AddDate(0, 0, 4)
		if count, _ := kids(t, name, data, now); count != 4 {
			t.Errorf("%s: %d keys after three rotations", name, count)
		}
		next, err := Next(name, data, now, 24*time.Hour, false)
		if name == secrets.EnvelopeKeys {
			if err == nil {
				t.Errorf("%s: old keys were dropped", name)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if count, _ := kids(t, name, next, now); count >= 5 || count < 2 {
			t.Errorf("%s: %d keys are left", name, count)
		}
	}
}

func TestNextRefuses(t *testing.T) {
	t.Parallel()
	data := generated(t)
	for name, tt := range map[string]struct {
		secret string
		data   []byte
		keep   time.Duration
		want   string
	}{
		"unknown":      {"smtp-url", nil, 0, "there is no secret"},
		"negative":     {secrets.HopKey, data[secrets.HopKey], -time.Hour, "a time to keep"},
		"too short":    {secrets.SigningKeys, data[secrets.SigningKeys], time.Minute, "needs replaced keys"},
		"no set":       {secrets.SigningKeys, []byte("{}"), 0, ""},
		"no ring":      {secrets.HopKey, []byte("{}"), 0, ""},
		"another kind": {secrets.HopKey, data[secrets.SigningKeys], 0, ""},
	} {
		if next, err := Next(tt.secret, tt.data, start, tt.keep, false); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, %v", name, next, err)
		}
	}
}

// A key is followed when it is old enough, once, and what it replaced stays for
// as long as anything needs it.
func TestPlanned(t *testing.T) {
	t.Parallel()
	for name, data := range generated(t) {
		k := kinds[name]
		if next, err := Planned(name, data, start.Add(k.every-time.Second)); next != nil || err != nil {
			t.Errorf("%s: too early: %v", name, err)
		}
		now := start.Add(k.every)
		next, err := Planned(name, data, now)
		if err != nil || next == nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, old := kids(t, name, data, now)
		if count, current := kids(t, name, next, now); count != 2 || current != old {
			t.Errorf("%s: %d keys, %s in use", name, count, current)
		}
		if again, err := Planned(name, next, now.Add(time.Minute)); again != nil || err != nil {
			t.Errorf("%s: twice: %v", name, err)
		}
		third, err := Planned(name, next, now.Add(k.lead+k.every))
		if err != nil || third == nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := 2 // the first was replaced longer ago than it is kept
		if k.drops == 0 {
			want = 3
		}
		if count, _ := kids(t, name, third, now); count != want {
			t.Errorf("%s: %d keys after two rotations, want %d", name, count, want)
		}
	}
	for name, c := range map[string][2]string{"unknown": {"smtp-url", "{}"}, "broken": {secrets.HopKey, "{"}, "empty": {secrets.SigningKeys, `{"keys":[]}`}} {
		if next, err := Planned(c[0], []byte(c[1]), start); err == nil {
			t.Errorf("%s: %s", name, next)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	for name, data := range generated(t) {
		now := start.Add(kinds[name].every)
		one, err := Planned(name, data, now)
		if err != nil {
			t.Fatal(err)
		}
		two, err := Planned(name, data, now.Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		both, err := Merge(name, two, one, one, data)
		if err != nil {
			t.Fatal(err)
		}
		_, first := kids(t, name, one, now.Add(time.Hour))
		_, second := kids(t, name, two, now.Add(time.Hour))
		count, current := kids(t, name, both, now.Add(time.Hour))
		if count != 3 || current != second || !strings.Contains(string(both), first) {
			t.Errorf("%s: %d keys, %s in use", name, count, current)
		}
		for what, err := range map[string]error{
			"unknown": errOf(Merge("smtp-url", one)), "broken": errOf(Merge(name, []byte("{"))), "broken other": errOf(Merge(name, one, []byte("{"))),
			"another kind": errOf(Merge(name, []byte(`{"keys":[{"kid":"x"}]}`))),
		} {
			if err == nil {
				t.Errorf("%s: %s was merged", name, what)
			}
		}
	}
	if len(Secrets()) != len(kinds) {
		t.Error("not all secrets are listed")
	}
}

func errOf(_ []byte, err error) error { return err }
