package identity

import (
	"net/mail"
	"strings"
	"unicode"
)

// maxEmail is the longest address that mail can carry (RFC 5321, 4.5.3.1.3,
// less the angle brackets).
const maxEmail = 254

// NormalizeEmail is the one spelling under which an address is kept and looked
// for.
func NormalizeEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// EmailFault says what is wrong with a normalized address, as a sentence
// without a subject, or "". Addresses outside ASCII are refused: two that look
// the same could be two people.
func EmailFault(email string) string {
	const bad = "is not an email address"
	if len(email) > maxEmail {
		return "must have at most 254 characters"
	}
	local, domain, found := strings.Cut(email, "@")
	if !found || len(local) > 64 || strings.ContainsFunc(email, func(r rune) bool { return r > unicode.MaxASCII || r <= ' ' }) {
		return bad
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Name != "" || parsed.Address != email {
		return bad
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return bad
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "-") != l || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return bad
		}
	}
	return ""
}
