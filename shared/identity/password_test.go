package identity

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/errs"
)

func TestHashVerify(t *testing.T) {
	t.Parallel()
	h := NewHasher(0)
	encoded, err := h.Hash(t.Context(), "correct horse é")
	if err != nil || !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatalf("%s %v", encoded, err)
	}
	for password, want := range map[string]bool{
		"correct horse é":       true,
		"correct horse e\u0301": true, // the same letter, composed on another keyboard
		"correct horse e":       false,
		"":                      false,
	} {
		match, rehash, err := h.Verify(t.Context(), encoded, password)
		if err != nil || match != want || rehash {
			t.Errorf("%q: match %v rehash %v %v", password, match, rehash, err)
		}
	}
	other, err := h.Hash(t.Context(), "correct horse é")
	if err != nil || other == encoded {
		t.Errorf("two hashes of one password are equal (%v)", err)
	}
	if err := h.Dummy(t.Context(), "anything"); err != nil {
		t.Error(err)
	}
}

func TestRehash(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	salt := random(saltLen)
	weak := argonParams{memory: 64, time: 1, threads: 1}
	old := encodePHC(weak, salt, argon(weak, "password", salt, tagLen))
	match, rehash, err := h.Verify(t.Context(), old, "password")
	if err != nil || !match || !rehash {
		t.Errorf("match %v rehash %v %v", match, rehash, err)
	}
	if match, rehash, err := h.Verify(t.Context(), old, "other"); err != nil || match || rehash {
		t.Errorf("a wrong password: match %v rehash %v %v", match, rehash, err)
	}
	if !NeedsRehash("nonsense") {
		t.Error("nonsense may stay")
	}
}

func TestStoredHashIsNotTrusted(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	salt, tag := phc64.EncodeToString(random(16)), phc64.EncodeToString(random(32))
	for _, encoded := range []string{
		"", "$", "plain", "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + tag, "$argon2id$v=16$m=64,t=1,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=4194304,t=1,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=64,t=1000,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=64,t=1,p=64$" + salt + "$" + tag, "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=64,t=1,p=1,x$" + salt + "$" + tag, "$argon2id$v=19$m=064,t=1,p=1$" + salt + "$" + tag,
		"$argon2id$v=19$m=64,t=1,p=1$AA$" + tag, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AA",
		"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag + "$", "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + tag,
	} {
		if match, _, err := h.Verify(t.Context(), encoded, "x"); err == nil || match {
			t.Errorf("%q was read", encoded)
		}
	}
}

func TestHashesWaitInLineAndGiveUpByContext(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	h.turns <- struct{}{} // the only turn is taken
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := h.Hash(ctx, "x")
			if errs.KindOf(err) != errs.Unavailable || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	cancel()
	wg.Wait()
	if _, _, err := h.Verify(ctx, h.dummy, "x"); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("verify got %v", err)
	}
	<-h.turns
	if _, err := h.Hash(t.Context(), "x"); err != nil {
		t.Errorf("the line is stuck: %v", err)
	}
}

// TestTrapT19UnknownAccountsCostTheSame holds the work of Dummy to that of
// Verify: the parameters are the same, so the time is.
func TestTrapT19UnknownAccountsCostTheSame(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	p, salt, tag, err := decodePHC(h.dummy)
	if err != nil || p != present || len(salt) != saltLen || len(tag) != tagLen {
		t.Errorf("the dummy is made otherwise: %+v %v", p, err)
	}
}

func TestPasswordFault(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ password, want string }{
		{"1234567", "at least 8"},
		{"", "at least 8"},
		{"éééééé1", "at least 8"},
		{strings.Repeat("xy", 64), ""},
		{strings.Repeat("xy", 64) + "z", "at most 128"},
		{strings.Repeat("語学", 64), ""},
		{"8402759136", "only digits"},
		{"٣٤٥٦٧٨٩٠١", "only digits"},
		{"Jane.Doe@Example.com", "email"},
		{"jane.doe", "email"},
		{"password", "too common"},
		{"PassWord", "too common"},
		{"p@ssw0rd", "too common"},
		{"P4$$word2026!", "too common"},
		{"summer2026!", "too common"},
		{"letmein12345678", "too common"},
		{"1q2w3e4r", "too common"},
		{"dragondragon", "too common"},
		{"aaaaaaaaaaaa", "too common"},
		{"qwertyuiop", "too common"},
		{"bad\xff\xfepassword", "must be text"},
		{"tr0ub4dor&3", ""},
		{"kettle-orbit-seven", ""},
		{"Sommerregen am Meer", ""},
		{"dragonfly7731wing", ""},
	} {
		got := PasswordFault(tt.password, "jane.doe@example.com")
		if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.password, got, tt.want)
		}
	}
	if got := PasswordFault("kettle-orbit", ""); got != "" {
		t.Errorf("without an email: %q", got)
	}
}

func TestCommonListIsClean(t *testing.T) {
	t.Parallel()
	n := 0
	for word := range commonSet() {
		if word == "" || word != strings.ToLower(strings.TrimSpace(word)) {
			t.Errorf("%q", word)
		}
		n++
	}
	if n < 2000 {
		t.Errorf("only %d words", n)
	}
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(0)
	for b.Loop() {
		if _, err := h.Hash(context.Background(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestDeadlineInLine(t *testing.T) {
	t.Parallel()
	h := NewHasher(1)
	h.turns <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := h.Dummy(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
