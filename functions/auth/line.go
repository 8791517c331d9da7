package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coditect/platform/shared/errs"
)

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
