package logs

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"
)

const redacted = "[redacted]"

// secretNames are attributes whose value is never written, whatever it is.
var secretNames = map[string]bool{
	"password": true, "current_password": true, "new_password": true, "secret": true, "client_secret": true,
	"token": true, "access_token": true, "refresh_token": true, "id_token": true, "authorization": true,
	"cookie": true, "set-cookie": true, "api_key": true, "apikey": true, "private_key": true, "database_url": true,
	"body": true, "request_body": true, "response_body": true,
}

// hints are texts without which shape and userinfo cannot match, by a byte that
// each of them has: one pass over a value tells which to look for, and most
// values have none.
var hints = []struct {
	mark  byte
	texts []string
}{
	{'_', []string{"rt_", "pw_", "ev_", "inv_", "sk_", "rk_", "whsec_"}},
	{' ', []string{"earer ", "EARER ", "asic ", "ASIC ", "PRIVATE KEY"}},
	{'J', []string{"eyJ"}},
	{':', []string{"://"}},
	{'$', []string{"$argon2"}},
	{'.', []string{"v1."}},
}

var marks = func() (table [256]uint8) {
	for i, h := range hints {
		table[h.mark] = 1 << i
	}
	return table
}()

func suspicious(s string) bool {
	var found uint8
	for i := range len(s) {
		found |= marks[s[i]]
	}
	if found == 0 {
		return false
	}
	for i, h := range hints {
		if found&(1<<i) == 0 {
			continue
		}
		for _, text := range h.texts {
			if strings.Contains(s, text) {
				return true
			}
		}
	}
	return false
}

// shape matches credentials by their form: JWTs, our opaque tokens, bearer and
// basic credentials, passwords in addresses, keys of the payment provider,
// password hashes, PEM keys and hop signatures. Like userinfo it is compiled when
// first wanted: most processes start, and many end, without.
var shape = onWant(strings.Join([]string{
	`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*`,
	`\b(?:rt|pw|ev|inv)_[A-Za-z0-9_-]{22}\.[A-Za-z0-9_.-]+`,
	`\b(?:[Bb]earer|BEARER|[Bb]asic|BASIC) [A-Za-z0-9._~+/=-]{8,}`,
	`\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]+`,
	`\bwhsec_[A-Za-z0-9]+`,
	`\$argon2[a-z]*\$[^\s"]+`,
	`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?`,
	`\bv1\.[0-9]{9,}\.[A-Za-z0-9_.-]{40,}`,
}, "|"))

var userinfo = onWant(`(://[^/\s:@]*:)[^/\s@]+@`)

func onWant(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// Redact takes what looks like a credential out of s.
func Redact(s string) string {
	if !suspicious(s) {
		return s
	}
	return userinfo().ReplaceAllString(shape().ReplaceAllString(s, redacted), "${1}"+redacted+"@")
}

// secretName looks the name up in small letters, without making a string of it.
func secretName(name string) bool {
	var lower [24]byte
	if len(name) > len(lower) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return secretNames[string(lower[:len(name)])]
}

func redactAttr(a slog.Attr) slog.Attr {
	if secretName(a.Key) && a.Value.Kind() != slog.KindGroup {
		return slog.String(a.Key, redacted)
	}
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); s != "" {
			if clean := Redact(s); clean != s {
				return slog.String(a.Key, clean)
			}
		}
	case slog.KindAny:
		switch v := a.Value.Any().(type) {
		case error:
			return slog.String(a.Key, Redact(v.Error()))
		case []byte:
			// Bytes are a body or a key.
			return slog.String(a.Key, redacted)
		case string, nil:
		case interface{ String() string }:
			return slog.String(a.Key, Redact(v.String()))
		}
	default: // numbers and times hold no secret
	}
	return a
}
