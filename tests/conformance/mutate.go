package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/coditect/platform/functions/all/openapi"
)

// hostile are texts that some layer of some system has taken for more.
var hostile = []string{
	"' or '1'='1", "'; drop table app.tasks; --", `" or ""="`, "1; select pg_sleep(10)", "\\'; --", "%' or name like '%", "$1", "$$",
	"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "javascript:alert(1)", "{{7*7}}", "${jndi:ldap://x/a}", "#{7*7}", "%s%n%x",
	"../../../../etc/passwd", `..\..\windows\win.ini`, "/etc/passwd\x00.png", "file:///etc/passwd", "http://169.254.169.254/latest/", "|id", "`id`", "$(id)",
	"line\r\nX-Injected: yes", "a\nb", "a\tb", "=cmd|' /C calc'!A0", "@SUM(1)", "null", "undefined", "NaN", "true", "0", "-1", "[]", "{}", `{"$ne":null}`,
	"__proto__", "constructor", "me", "none", ".", "..", " ", "  leading", "trailing  ", "", "%00", "%2e%2e%2f", "+1", "0x10", "1e309",
}

// strange are texts of characters that are counted, compared or shown unlike
// others.
var strange = []string{
	"\u202eevil\u202c", "e\u0301", "\ufeffbom", "\u200bzero\u200dwidth", "𝕳𝖊𝖑𝖑𝖔", "👨‍👩‍👧‍👦", "ﷺ", "ß", "İstanbul", "ﬁ", "\uffff", "\U0010ffff", "\u2028line",
	"K", "ﾃｽﾄ", "Z͑ͫ̓a̴l̶g̷o̸", "\u0000", "\u0001", "\u007f", "\u0085", "אבג", "日本語", strings.Repeat("💥", 64),
}

// literals are pieces of JSON that decoders disagree about.
var literals = []string{
	"1e400", "-1e400", "9223372036854775808", "-9223372036854775809", "123456789012345678901234567890", "1.0", "1e2", "-0", "0.1e-400",
	`"\ud800"`, `"\udc00\ud800"`, `"\u0000"`, `"\uD83D\uDE00"`, "[[[[[[[[[[]]]]]]]]]]", `{"a":{"a":{"a":{"a":{"a":1}}}}}`,
}

// mutate does one thing to a request.
func (w *worker) mutate(op *openapi.Operation, in *Request) {
	type change struct {
		weight int
		do     func(*openapi.Operation, *Request) string
	}
	changes := []change{{1, w.mutateHeader}}
	if in.HasBody && in.Raw == nil {
		changes = append(changes, change{12, w.mutateBody}, change{2, w.mutateBytes}, change{1, w.mutateMedia})
	}
	if len(in.Arguments) > 0 {
		changes = append(changes, change{2, w.mutateArgument})
	}
	queries := 1
	for _, p := range op.Parameters {
		if p.In == "query" {
			queries = 8
		}
	}
	changes = append(changes, change{queries, w.mutateQuery})
	total := 0
	for _, c := range changes {
		total += c.weight
	}
	n := w.rng.IntN(total)
	for _, c := range changes {
		if n -= c.weight; n < 0 {
			in.Mutations = append(in.Mutations, c.do(op, in))
			return
		}
	}
}

// bad is a text of ill will.
func (w *worker) bad() string {
	switch w.rng.IntN(5) {
	case 0:
		return one(w.rng, strange)
	case 1:
		return strings.Repeat(one(w.rng, []string{"a", "é", "🚀", "'", "\\"}), 1<<w.rng.IntN(13))
	}
	return one(w.rng, hostile)
}

// mutateBody changes one place in the body.
func (w *worker) mutateBody(op *openapi.Operation, in *Request) string {
	places := placesOf(in.Body, op.Body.Schema, w.doc, nil)
	p := one(w.rng, places)
	var (
		what string
		v    any
	)
	switch n := w.rng.IntN(9); {
	case n == 0:
		what, v = "null", nil
	case n == 1:
		what, v = "a wrong type", one(w.rng, []any{1, "text", true, []any{}, map[string]any{}, 1.5, []any{map[string]any{}}, "1", ""})
	case n == 2:
		what, v = "a literal", json.RawMessage(one(w.rng, literals))
	case n == 3:
		what, v = "an extreme", w.extreme(p.schema, p.value)
	case n == 4 && len(p.path) > 0:
		if w.rng.IntN(2) == 0 {
			in.Body = p.remove(in.Body)
			return "without " + p.String()
		}
		fallthrough
	case n == 5:
		if m, ok := p.value.(map[string]any); ok {
			grown := map[string]any{}
			maps.Copy(grown, m)
			grown[one(w.rng, []string{"no_such_member", "tenant_id", "id", "role", "__proto__", "Name", "", "\u0000", "is_admin", "created_at"})] = w.anything(0)
			what, v = "a member too many", grown
			break
		}
		fallthrough
	case n == 6:
		what, v = "another valid value", w.value(p.schema, p.name(), nil, 0)
	default:
		what, v = "a bad text", w.bad()
	}
	in.Body = p.replace(in.Body, v)
	return what + " for " + p.String()
}

// extreme is a value at a limit of the schema, or just beyond.
func (w *worker) extreme(schema map[string]any, was any) any {
	off := w.rng.IntN(3) - 1
	switch was := was.(type) {
	case string:
		limit := one(w.rng, []float64{number(schema, "maxLength", 255), number(schema, "minLength", 1)})
		return strings.Repeat(one(w.rng, []string{"a", "é", "🚀"}), max(0, min(60000, int(limit)+off)))
	case []any:
		limit := one(w.rng, []float64{number(schema, "maxItems", 100), number(schema, "minItems", 1)})
		if len(was) == 0 {
			was = []any{nil}
		}
		out := []any{}
		for i := range max(0, min(1000, int(limit)+off)) {
			out = append(out, was[i%len(was)])
		}
		return out
	case map[string]any:
		return map[string]any{}
	}
	limit := one(w.rng, []float64{number(schema, "maximum", 1<<53), number(schema, "minimum", 0)})
	return int64(limit) + int64(off)
}

// mutateBytes spoils the body as it is written.
func (w *worker) mutateBytes(_ *openapi.Operation, in *Request) string {
	raw := encode(in.Body)
	change := func(what string, to []byte) string {
		in.Raw = to
		return what
	}
	switch w.rng.IntN(12) {
	case 0:
		return change("cut off", raw[:w.rng.IntN(len(raw))])
	case 1:
		return change("something after it", append(bytes.Clone(raw), one(w.rng, []string{"x", "{}", "\x00", " null", "]"})...))
	case 2:
		if i := bytes.IndexByte(raw, '{'); i >= 0 && len(raw) > 2 {
			member := raw[i+1 : max(i+1, bytes.IndexAny(raw, ",}"))]
			if len(member) > 0 {
				return change("a member twice", bytes.Join([][]byte{raw[:i+1], member, []byte(","), raw[i+1:]}, nil))
			}
		}
		return change("a member twice", []byte(`{"a":1,"a":2}`))
	case 3:
		return change("empty", []byte{})
	case 4:
		return change("a byte order mark", append([]byte("\xef\xbb\xbf"), raw...))
	case 5:
		i := w.rng.IntN(len(raw))
		return change("a byte that is no UTF-8", bytes.Join([][]byte{raw[:i], {0xff}, raw[i:]}, nil))
	case 6:
		n := one(w.rng, []int{31, 33, 100, 5000})
		return change(fmt.Sprintf("nested %d deep", n), []byte(strings.Repeat(one(w.rng, []string{"[", `{"a":`}), n)))
	case 7:
		return change("blanks around it", []byte("\n\t "+string(raw)+" \r\n"))
	case 8:
		return change("UTF-16", bytes.Join([][]byte{{0xfe, 0xff}, bytes.ReplaceAll(raw, []byte("a"), []byte("\x00a"))}, nil))
	case 9:
		return change("some other JSON", []byte(one(w.rng, []string{"null", "true", "0", `""`, "[]", "[{}]", "NaN", "'a'", "{a:1}", `{"a":1,}`, "// c\n{}"})))
	case 10:
		if w.rng.IntN(10) == 0 {
			return change("over a mebibyte", []byte(`{"a":"`+strings.Repeat("x", 1<<20)+`"}`))
		}
	}
	i := w.rng.IntN(len(raw))
	spoilt := bytes.Clone(raw)
	spoilt[i] ^= 1 << w.rng.IntN(8)
	return change("a bit turned", spoilt)
}

func (w *worker) mutateMedia(_ *openapi.Operation, in *Request) string {
	in.Media = one(w.rng, []string{
		"", "text/plain", "application/xml", "application/json; charset=latin1", "application/json;charset=utf-8", "multipart/form-data; boundary=x",
		"application/x-www-form-urlencoded", "application/vnd.api+json", "garbage", "application/json, text/plain", "*/*", "APPLICATION/JSON",
	})
	return "as " + in.Media
}

func (w *worker) mutateArgument(op *openapi.Operation, in *Request) string {
	for _, p := range op.Parameters {
		if p.In != "path" {
			continue
		}
		old := in.Arguments[p.Name]
		v := one(w.rng, []string{
			w.uuid(), "not-a-uuid", "0", strings.ToUpper(old), "{" + old + "}", strings.ReplaceAll(old, "-", ""), old + " ", "urn:uuid:" + old, "ffffffff-ffff-ffff-ffff-ffffffffffff",
			"00000000-0000-0000-0000-000000000000", old + "\x00", "a/b", "\xff\xfe", "%", old + "'", strings.Repeat("a", 300), w.bad(),
		})
		// These lead to other paths, which are other operations'.
		if v == "" || v == "." || v == ".." || v == "me" || strings.Contains(v, "/") && w.rng.IntN(2) == 0 {
			v = "x"
		}
		in.Arguments[p.Name] = v
		return "{" + p.Name + "} is " + quote(v)
	}
	return "nothing"
}

func (w *worker) mutateQuery(op *openapi.Operation, in *Request) string {
	var documented []openapi.Parameter
	for _, p := range op.Parameters {
		if p.In == "query" {
			documented = append(documented, p)
		}
	}
	if in.Query == nil {
		in.Query = url.Values{}
	}
	if len(documented) == 0 || w.rng.IntN(6) == 0 {
		switch w.rng.IntN(3) {
		case 0:
			in.RawQuery = one(w.rng, []string{"%zz", "a=%", "=", "&&&", "a;b", "a=1;b=2", "?", "a[]=1", "%00=1", "\xff=1", strings.Repeat("a=1&", 500), "a=" + strings.Repeat("x", 5000)})
			return "query " + quote(in.RawQuery)
		default:
			in.Query.Set(one(w.rng, []string{"no_such_parameter", "tenant_id", "Status", "limit", "fields", "page_size[]"}), "1")
			return "an unknown parameter"
		}
	}
	p := one(w.rng, documented)
	switch w.rng.IntN(4) {
	case 0:
		in.Query.Set(p.Name, w.parameter(p))
	case 1:
		in.Query.Add(p.Name, w.parameter(p))
		in.Query.Add(p.Name, w.parameter(p))
		return p.Name + " twice"
	case 2:
		in.Query.Set(p.Name, one(w.rng, []string{"", "0", "-1", "201", "1e3", "9223372036854775808", "true", "TRUE", "null", "2026-02-30", "2026-13-01", "0000-01-01", "9999-12-31", "10000-01-01", "2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00Z", "1", "active,archived", "-", "-name"}))
	default:
		in.Query.Set(p.Name, w.bad())
	}
	return p.Name + "=" + quote(in.Query.Get(p.Name))
}

func (w *worker) mutateHeader(op *openapi.Operation, in *Request) string {
	var documented []openapi.Parameter
	for _, p := range op.Parameters {
		if p.In == "header" {
			documented = append(documented, p)
		}
	}
	set := func(name string, values ...string) string {
		v := strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return -1 // the client sends none of these
			}
			return c
		}, one(w.rng, values))
		in.Header.Set(name, v)
		return name + ": " + quote(v)
	}
	n := w.rng.IntN(4 + 2*len(documented))
	switch n {
	case 0:
		in.Token = ""
		return "without a token"
	case 1:
		in.Token = one(w.rng, []string{"x", "a.b.c", strings.Repeat("a", 9000), in.Token + "x", "null", "' or 1=1", "é"})
		return "a bad token"
	case 2:
		return set("Accept", "application/xml", "text/html", "*/*", "application/json;q=0", "garbage", "application/problem+json")
	case 3:
		return set("X-Request-Id", w.uuid(), "x", strings.Repeat("r", 300), "a b", "<script>", "é")
	}
	p := documented[(n-4)/2]
	switch p.Name {
	case "If-Match", "If-None-Match":
		return set(p.Name, "*", `"0.0"`, `W/"1.0"`, "garbage", "", `"1.x", "2.y"`, `"`, `"99999999999999999999.0"`, `"-1.0"`, `"1"`, strings.Repeat(`"1.0", `, 200), `"é"`)
	case "Idempotency-Key":
		return set(p.Name, "", strings.Repeat("k", 255), strings.Repeat("k", 256), "' or 1=1 --", "key with blanks", "ключ", w.header(p))
	case "X-Tenant-ID":
		return set(p.Name, "", "garbage", w.uuid(), w.id("tenant"), "null", "'")
	}
	return set(p.Name, w.bad())
}
