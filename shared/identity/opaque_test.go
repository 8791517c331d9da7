package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

func TestOpaque(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{RefreshToken, PasswordToken, EmailToken, InvitationToken} {
		owner, id := ids.New(), ids.New()
		o := NewOpaque(kind, owner, id)
		back, err := ParseOpaque(kind, o.Reveal())
		if err != nil || back != o || back.Owner != owner || back.ID != id {
			t.Errorf("%s: %v", kind, err)
		}
		hash := o.Hash()
		if len(hash) != 32 || !back.Matches(hash) || NewOpaque(kind, owner, id).Matches(hash) || o.Matches(nil) || o.Matches(hash[:31]) {
			t.Errorf("%s: hash", kind)
		}
		moved := o
		moved.Owner = ids.New()
		if moved.Matches(hash) {
			t.Errorf("%s: the hash holds for another owner", kind)
		}
		recast := o
		recast.Kind = "xx"
		if recast.Matches(hash) {
			t.Errorf("%s: the hash holds for another kind", kind)
		}
	}
}

func TestOpaqueIsStrict(t *testing.T) {
	t.Parallel()
	o := NewOpaque(RefreshToken, ids.New(), ids.New())
	text := o.Reveal()
	for name, bad := range map[string]string{
		"empty": "", "kind": "pw" + text[2:], "prefix": "x" + text, "suffix": text + "A", "cut": text[:len(text)-1],
		"upper kind": "RT" + text[2:], "space": " " + text, "newline": text[:10] + "\n" + text[11:], "padding": text[:len(text)-1] + "=",
		"alphabet": strings.Replace(text, ".", "+", 1), "dots": strings.Repeat(".", len(text)),
		"nil owner":    "rt_" + strings.Repeat("A", 22) + text[25:],
		"nil id":       text[:26] + strings.Repeat("A", 22) + text[48:],
		"loose bits":   text[:24] + "_" + text[25:],
		"of the other": NewOpaque(InvitationToken, ids.New(), ids.New()).Reveal(),
	} {
		if _, err := ParseOpaque(RefreshToken, bad); err == nil {
			t.Errorf("%s: %q read", name, bad)
		}
	}
}

func TestTrapT15OneSuccessor(t *testing.T) {
	t.Parallel()
	key, other := random(32), random(32)
	parent := NewOpaque(RefreshToken, ids.New(), ids.New())
	a, b := parent.Successor(key), parent.Successor(key)
	if a != b {
		t.Error("two successors of one token")
	}
	if a.Reveal() == parent.Reveal() || a.Owner != parent.Owner || a.ID != parent.ID || a.Kind != parent.Kind {
		t.Error("not a successor")
	}
	if parent.Successor(other) == a || NewOpaque(RefreshToken, parent.Owner, parent.ID).Successor(key) == a {
		t.Error("the successor depends on less than key and parent")
	}
	if a.Successor(key) == a || a.Successor(key).Reveal() == parent.Reveal() {
		t.Error("the chain is a circle")
	}
}

func TestOpaqueIsNeverPrinted(t *testing.T) {
	t.Parallel()
	o := NewOpaque(RefreshToken, ids.New(), ids.New())
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", o)
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(asJSON) + fmt.Sprintf("%v %+v %#v %s", o, o, o, o)
	if secret := o.Reveal()[49:]; strings.Contains(all, secret) || strings.Contains(all, fmt.Sprint(o.secret[:4])[1:8]) {
		t.Errorf("printed: %s", all)
	}
}

func FuzzParseOpaque(f *testing.F) {
	for _, kind := range []Kind{RefreshToken, PasswordToken, EmailToken, InvitationToken} {
		text := NewOpaque(kind, ids.New(), ids.New()).Reveal()
		f.Add(string(kind), text)
		f.Add(string(kind), text[:len(text)-1]+"_")
	}
	f.Add("rt", "rt_..")
	f.Add("", "_")
	f.Fuzz(func(t *testing.T, kind, text string) {
		if o, err := ParseOpaque(Kind(kind), text); err == nil && o.Reveal() != text {
			t.Errorf("%q is another text of %q", text, o.Reveal())
		}
	})
}
