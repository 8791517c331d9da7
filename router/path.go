package router

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

const maxPath = 2048

// canonical gives the one decoded form of a path, which is what is matched,
// signed and passed on. A path that another program might read as a different
// one has no canonical form: with dot segments, empty segments, backslashes,
// control characters, encoded separators, or text that is not UTF-8. Such paths
// are refused rather than repaired, since whoever repairs differently from the
// function behind it has two routes for one request.
func canonical(u *url.URL) (string, bool) {
	p := u.Path
	if len(p) == 0 || len(p) > maxPath || p[0] != '/' {
		return "", false
	}
	if u.RawPath != "" {
		// RawPath is kept where the encoding is not the usual one; only there
		// can a separator have come encoded.
		for i := 0; i+2 < len(u.RawPath); i++ {
			if u.RawPath[i] == '%' && u.RawPath[i+1] == '2' && (u.RawPath[i+2]|0x20) == 'f' {
				return "", false
			}
		}
	}
	segment, ascii := 0, true // where the present segment begins
	for i := 1; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			c := p[i]
			if c < 0x20 || c == 0x7f || c == '\\' {
				return "", false
			}
			ascii = ascii && c < utf8.RuneSelf
			continue
		}
		switch s := p[segment+1 : i]; {
		case s == "." || s == "..":
			return "", false
		case s == "" && i < len(p):
			return "", false
		}
		segment = i
	}
	if !ascii && !utf8.ValidString(p) {
		return "", false
	}
	return p, true
}

// bare is a path without its trailing slash: both forms are one route.
func bare(p string) string { return strings.TrimSuffix(p, "/") }
