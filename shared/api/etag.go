package api

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// tag is an entity tag (RFC 9110 §8.8.3).
type tag struct {
	weak   bool
	opaque string
}

// etagOf makes `"<version>.<hash of the body>"`: writes compare the version,
// reads the whole, since one version may look different to two readers.
func etagOf(version int64, body []byte) string {
	sum := sha256.Sum256(body)
	buf := make([]byte, 0, 40)
	buf = append(buf, '"')
	buf = strconv.AppendInt(buf, version, 10)
	buf = append(buf, '.')
	buf = base64.RawURLEncoding.AppendEncode(buf, sum[:9])
	return string(append(buf, '"'))
}

// parseTags reads a list of entity tags. A comma may stand inside a tag, so the
// list cannot be split at commas.
func parseTags(s string) (tags []tag, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t,") // empty elements are legal (§5.6.1)
		if s == "" {
			return tags, len(tags) > 0
		}
		var t tag
		if rest, weak := strings.CutPrefix(s, "W/"); weak {
			t.weak, s = true, rest
		}
		if s == "" || s[0] != '"' {
			return nil, false
		}
		end := strings.IndexByte(s[1:], '"')
		if end < 0 {
			return nil, false
		}
		t.opaque, s = s[1:1+end], strings.TrimLeft(s[end+2:], " \t")
		for i := range len(t.opaque) {
			if c := t.opaque[i]; c < 0x21 || c == 0x7f {
				return nil, false
			}
		}
		if s != "" && s[0] != ',' {
			return nil, false
		}
		tags = append(tags, t)
	}
}

// unchanged reports whether If-None-Match names the present tag: weakly, as
// §13.1.2 demands. A header that cannot be read condition nothing.
func unchanged(header, present string) bool {
	header = strings.TrimSpace(header)
	if header == "" {
		return false
	}
	if header == "*" {
		return true
	}
	tags, ok := parseTags(header)
	if !ok {
		return false
	}
	for _, t := range tags {
		if len(present) == len(t.opaque)+2 && present[1:len(present)-1] == t.opaque {
			return true
		}
	}
	return false
}
