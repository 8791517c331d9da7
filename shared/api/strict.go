package api

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/coditect/platform/shared/errs"
)

// maxDepth is how deep arrays and objects may nest.
const maxDepth = 32

// linearKeys is up to how many members an object's names are compared one by
// one; beyond it a set is used, so that a body of a million members stays
// linear.
const linearKeys = 16

func malformed(detail string) error { return errs.New(errs.Malformed, "malformed_json", detail) }

var (
	errSyntax    = malformed("The body is not valid JSON.")
	errUTF8      = malformed("The body is not valid UTF-8.")
	errDepth     = malformed("The body nests deeper than 32 levels.")
	errDuplicate = malformed("A name stands twice in one object of the body.")
	errNUL       = malformed("A string of the body holds a NUL.")
	errNumber    = malformed("A number of the body is larger than any we can hold.")
	errSurrogate = malformed("A string of the body holds half a surrogate pair.")
)

// seen is what a scan came across.
type seen struct{ null bool }

// scan refuses what encoding/json lets through although parsers disagree about
// it: names given twice (RFC 8259 §4), bytes that are no UTF-8 (§8.1), NUL,
// lone surrogates (§8.2), numbers beyond a float64 (§6), and depth.
func scan(b []byte) (seen, error) {
	var s scanner
	if !utf8.Valid(b) {
		return s.seen, errUTF8
	}
	if !json.Valid(b) { // syntax, trailing data included
		return s.seen, errSyntax
	}
	s.b = b
	err := s.run()
	return s.seen, err
}

// scanner walks over bytes that are known to be JSON.
type scanner struct {
	b     []byte
	i     int
	seen  seen
	depth int
	stack [maxDepth]level
}

// level is an array or object that is open.
type level struct {
	object bool
	names  [][]byte
	set    map[string]struct{}
}

func (s *scanner) run() error {
	name := false // the next string names a member
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '{', '[':
			if s.depth == maxDepth {
				return errDepth
			}
			l := &s.stack[s.depth]
			l.object, l.names, l.set = s.b[s.i] == '{', l.names[:0], nil
			s.depth++
			name = l.object
			s.i++
		case '}', ']':
			s.depth--
			name = false
			s.i++
		case ',':
			name = s.stack[s.depth-1].object
			s.i++
		case '"':
			text, escaped, err := s.text()
			if err != nil {
				return err
			}
			if name {
				if !s.stack[s.depth-1].add(text, escaped) {
					return errDuplicate
				}
				name = false
			}
		case 'n':
			s.seen.null = true
			s.i += len("null")
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			if !s.number() {
				return errNumber
			}
		default:
			s.i++
		}
	}
	return nil
}

// number moves past a number and reports whether it fits a float64, the limit
// that RFC 8259 §6 expects of everybody. Without it the decoder would call the
// whole body no JSON.
func (s *scanner) number() bool {
	start, exponent := s.i, false
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == 'e' || c == 'E':
			exponent = true
		case c >= '0' && c <= '9', c == '.', c == '+', c == '-':
		default:
			return s.fits(start, exponent)
		}
	}
	return s.fits(start, exponent)
}

func (s *scanner) fits(start int, exponent bool) bool {
	const safe = 300 // digits that fit whatever they are
	if !exponent && s.i-start < safe {
		return true
	}
	_, err := strconv.ParseFloat(string(s.b[start:s.i]), 64)
	return err == nil
}

// add notes a member's name and reports whether it is the first of that name.
func (l *level) add(name []byte, escaped bool) bool {
	if escaped {
		var plain string
		if json.Unmarshal(append(append([]byte{'"'}, name...), '"'), &plain) != nil {
			return false
		}
		name = []byte(plain)
	}
	if l.set == nil && len(l.names) == linearKeys {
		l.set = make(map[string]struct{}, 2*linearKeys)
		for _, n := range l.names {
			l.set[string(n)] = struct{}{}
		}
	}
	if l.set != nil {
		if _, twice := l.set[string(name)]; twice {
			return false
		}
		l.set[string(name)] = struct{}{}
		return true
	}
	for _, n := range l.names {
		if string(n) == string(name) {
			return false
		}
	}
	l.names = append(l.names, name)
	return true
}

// text moves past a string and gives what is between its quotes.
func (s *scanner) text() (text []byte, escaped bool, err error) {
	start := s.i + 1
	for s.i = start; s.b[s.i] != '"'; {
		if s.b[s.i] != '\\' {
			s.i++
			continue
		}
		escaped = true
		if s.b[s.i+1] != 'u' {
			s.i += 2
			continue
		}
		unit := hex4(s.b[s.i+2:])
		s.i += 6
		switch {
		case unit == 0:
			return nil, true, errNUL
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return nil, true, errSurrogate
		case unit >= 0xD800 && unit <= 0xDBFF:
			if s.b[s.i] != '\\' || s.b[s.i+1] != 'u' {
				return nil, true, errSurrogate
			}
			if low := hex4(s.b[s.i+2:]); low < 0xDC00 || low > 0xDFFF {
				return nil, true, errSurrogate
			}
			s.i += 6
		}
	}
	text = s.b[start:s.i]
	s.i++
	return text, escaped, nil
}

// hex4 reads the four digits of an escape that is known to be well formed.
func hex4(b []byte) (u uint32) {
	for _, c := range b[:4] {
		u <<= 4
		switch {
		case c <= '9':
			u |= uint32(c - '0')
		case c <= 'F':
			u |= uint32(c-'A') + 10
		default:
			u |= uint32(c-'a') + 10
		}
	}
	return u
}
