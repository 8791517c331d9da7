package auth

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coditect/platform/shared/errs"
)

// maxEmail is the longest address that mail can carry (RFC 5321, 4.5.3.1.3,
// less the angle brackets).
const maxEmail = 254

// normalize is the one spelling under which an address is kept and looked for.
func normalize(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// emailFault says what is wrong with a normalized address, or "". Addresses
// outside ASCII are refused: two that look the same could be two people.
func emailFault(email string) string {
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

// line checks a text that is shown, and mailed, as one line. It gives the text
// without surrounding space.
func line(location, text string, least, most int, faults *[]errs.Field) string {
	text = strings.TrimSpace(text)
	n := utf8.RuneCountInString(text)
	switch {
	case n < least:
		*faults = append(*faults, errs.Field{Location: location, Message: "must not be blank"})
	case n > most:
		*faults = append(*faults, errs.Field{Location: location, Message: "is too long"})
	case strings.ContainsFunc(text, unicode.IsControl):
		*faults = append(*faults, errs.Field{Location: location, Message: "must be one line of text"})
	}
	return text
}

// truncate cuts text to n characters.
func truncate(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}
