package identity

import (
	_ "embed"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// The length of a password, in characters as a person counts them.
const (
	MinPassword = 8
	MaxPassword = 128
)

// PasswordFault says why password may not be chosen by the person with that
// email address, as a sentence without a subject fit for the client; "" when it
// may. It never quotes the password.
func PasswordFault(password, email string) string {
	if !utf8.ValidString(password) {
		return "must be text"
	}
	n := utf8.RuneCountInString(norm.NFKC.String(password))
	lower := strings.ToLower(norm.NFKC.String(password))
	address := strings.ToLower(strings.TrimSpace(email))
	local, _, _ := strings.Cut(address, "@")
	switch {
	case n < MinPassword:
		return "must have at least 8 characters"
	case n > MaxPassword || len(password) > 4*MaxPassword:
		return "must have at most 128 characters"
	case strings.IndexFunc(password, func(r rune) bool { return !unicode.IsDigit(r) }) < 0:
		return "must not be only digits"
	case address != "" && (lower == address || lower == local):
		return "must not be the email address"
	case common(lower):
		return "is too common"
	}
	return ""
}

// commonText is a word a line, lower case: words, names, teams, places and
// keyboard walks that head every list of leaked passwords. Add a line to refuse
// another; what people hang on a word is refused by rule (see common).
//
//go:embed common.txt
var commonText string

var commonSet = sync.OnceValue(func() map[string]struct{} {
	set := make(map[string]struct{}, 4096)
	for line := range strings.Lines(commonText) {
		set[strings.TrimSpace(line)] = struct{}{}
	}
	return set
})

// plain undoes the letter swaps that everyone knows.
var plain = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// longestTail is how many digits and signs after a common word are still no
// help, in bytes: a year and a sign.
const longestTail = 5

// common reports whether lower is a common word, or one with its letters
// swapped (p@ssw0rd), said twice, or with a short tail of digits and signs
// (summer2026!).
func common(lower string) bool {
	if strings.Trim(lower, lower[:1]) == "" {
		return true // one character, over and over
	}
	head := lower[:strings.LastIndexFunc(lower, unicode.IsLetter)+1]
	tail := lower[len(head):]
	if len(tail) > longestTail && !strings.HasPrefix("1234567890", tail) {
		return listed(lower)
	}
	return listed(lower) || listed(head) || listed(plain.Replace(head)) || listed(plain.Replace(lower))
}

func listed(word string) bool {
	set := commonSet()
	if _, ok := set[word]; ok {
		return true
	}
	half := word[:len(word)/2]
	_, ok := set[half]
	return ok && half+half == word
}
