package attachments

import (
	"mime"
	"regexp"
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

// mediaType is a type and a subtype (RFC 6838 §4.2).
var mediaType = regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$`)

// plainValue is a parameter that every store signs alike: they fold the spaces
// of a header in ways of their own.
var plainValue = regexp.MustCompile(`^[\x21-\x7e]+$`)

// cleanType is a media type in its one form, so that what was signed, sent and
// stored can be compared. It is false for what is none.
func cleanType(given string) (string, bool) {
	kind, params, err := mime.ParseMediaType(given)
	if err != nil || !mediaType.MatchString(kind) {
		return "", false
	}
	for _, v := range params {
		if !plainValue.MatchString(v) {
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
