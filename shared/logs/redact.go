package logs

import (
	"log/slog"
	"regexp"
	"strings"
)

const redacted = "[redacted]"

// secretNames are attributes whose value is never written, whatever it is.
var secretNames = map[string]bool{
	"password": true, "current_password": true, "new_password": true, "secret": true, "client_secret": true,
	"token": true, "access_token": true, "refresh_token": true, "id_token": true, "authorization": true,
	"cookie": true, "set-cookie": true, "api_key": true, "apikey": true, "private_key": true, "database_url": true,
	"body": true, "request_body": true, "response_body": true,
}

// hints are texts without which shape cannot match: most values have none, and
// are passed without running an expression.
var hints = []string{"eyJ", "rt_", "pw_", "ev_", "inv_", "earer ", "asic ", "://", "sk_", "rk_", "whsec_", "argon2", "PRIVATE KEY", "v1."}

// shape matches credentials by their form: JWTs, our opaque tokens, bearer and
// basic credentials, passwords in addresses, keys of the payment provider,
// password hashes, PEM keys and hop signatures.
var shape = regexp.MustCompile(strings.Join([]string{
	`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*`,
	`\b(?:rt|pw|ev|inv)_[A-Za-z0-9_-]{22}\.[A-Za-z0-9_.-]+`,
	`(?i:\b(?:bearer|basic) )[A-Za-z0-9._~+/=-]{8,}`,
	`\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]+`,
	`\bwhsec_[A-Za-z0-9]+`,
	`\$argon2[a-z]*\$[^\s"]+`,
	`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?`,
	`\bv1\.[0-9]{9,}\.[A-Za-z0-9_.-]{40,}`,
}, "|"))

var userinfo = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)

// Redact takes what looks like a credential out of s.
func Redact(s string) string {
	for _, hint := range hints {
		if strings.Contains(s, hint) {
			return userinfo.ReplaceAllString(shape.ReplaceAllString(s, redacted), "${1}"+redacted+"@")
		}
	}
	return s
}

func redactAttr(a slog.Attr) slog.Attr {
	if secretNames[strings.ToLower(a.Key)] && a.Value.Kind() != slog.KindGroup {
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
	}
	return a
}
