package attachments

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cleanName is the last part of a path that a client gave as a file's name,
// without what would hide or reorder how it ends (control and format
// characters). It is false when nothing is left.
func cleanName(given string) (string, bool) {
	name := given[strings.LastIndexAny(given, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(name)
	return name, strings.Trim(name, ". ") != ""
}

// typeName reports whether s names a type or a subtype (RFC 6838 §4.2).
func typeName(s string) bool {
	const first = "abcdefghijklmnopqrstuvwxyz0123456789"
	return s != "" && len(s) <= 127 && strings.IndexByte(first, s[0]) >= 0 && strings.Trim(s, first+"!#$&^_.+-") == ""
}

// plain reports whether every store signs a parameter of this value alike: they
// fold the spaces of a header in ways of their own.
func plain(value string) bool {
	return value != "" && strings.IndexFunc(value, func(r rune) bool { return r < '!' || r > '~' }) < 0
}

// cleanType is a media type in its one form, so that what was signed, sent and
// stored can be compared. It is false for what is none.
func cleanType(given string) (string, bool) {
	kind, params, err := mime.ParseMediaType(given)
	if err != nil {
		return "", false
	}
	if t, sub, _ := strings.Cut(kind, "/"); !typeName(t) || !typeName(sub) {
		return "", false
	}
	for _, v := range params {
		if !plain(v) {
			return "", false
		}
	}
	out := mime.FormatMediaType(kind, params)
	return out, out != "" && len(out) <= 255
}

// sameType compares a stored object's type with the one that was signed.
func sameType(stored, signed string) bool {
	clean, ok := cleanType(stored)
	return ok && clean == signed
}
