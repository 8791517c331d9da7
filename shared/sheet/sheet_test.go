package sheet_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/coditect/platform/shared/sheet"
)

// TestTrapT37 holds that no cell can be a formula.
func TestTrapT37(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                         "",
		"plain":                    "plain",
		"=1+1":                     "'=1+1",
		"+1":                       "'+1",
		"-1":                       "'-1",
		"@SUM(A1)":                 "'@SUM(A1)",
		"\t=1":                     "'\t'=1",
		"\r=1":                     "'\r'=1",
		"\nx":                      "'\nx",
		" =1":                      " '=1",
		"\u00a0=1":                 "\u00a0'=1",
		"\u200b=1":                 "\u200b'=1",
		"\ufeff=1":                 "\ufeff'=1",
		"\x00=1":                   "'=1",
		`"=1`:                      `"'=1`,
		"＝1+1":                     "'＝1+1",
		"＋1":                       "'＋1",
		"－1":                       "'－1",
		"＠x":                       "'＠x",
		"\u22121":                  "'\u22121",
		"a;=cmd|' /C calc'!A1":     "a;'=cmd|' /C calc'!A1",
		"a\n=cmd":                  "a\n'=cmd",
		"a\t@x":                    "a\t'@x",
		"a;\" =x":                  "a;\" '=x",
		"a=b":                      "a=b",
		"1-2":                      "1-2",
		"a, -b":                    "a, -b",
		"bad\xffbyte":              "bad\ufffdbyte",
		"2026-11-24T09:30:00Z":     "2026-11-24T09:30:00Z",
		`{"a":{"old":1}}`:          `{"a":{"old":1}}`,
		"Ümläut 日本 😀":              "Ümläut 日本 😀",
		"=HYPERLINK(\"http://x\")": "'=HYPERLINK(\"http://x\")",
	} {
		if got := string(sheet.Neutral(nil, []byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := sheet.NewWriter(&b, 3)
	for _, row := range [][]string{{"a", "b c", `say "x"`}, {"line\nend", "1,2"}, {}, {"=1", "", "é"}} {
		if err := w.Row(row...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Raw([][]byte{[]byte("x"), nil, []byte("-y")}); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "\ufeffa,\"b c\",\"say \"\"x\"\"\"\r\n\"line\nend\",\"1,2\",\r\n,,\r\n'=1,,é\r\nx,,'-y\r\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), "\ufeff"))).ReadAll()
	if err != nil || len(rows) != 5 || rows[0][2] != `say "x"` || rows[1][0] != "line\nend" {
		t.Errorf("read back %q, %v", rows, err)
	}
}

func TestWidth(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(w *sheet.Writer){
		"wide row":   func(w *sheet.Writer) { _ = w.Row("a", "b") },
		"narrow raw": func(w *sheet.Writer) { _ = w.Raw(nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			do(sheet.NewWriter(&bytes.Buffer{}, 1))
		}()
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	w := sheet.NewWriter(iotest.TruncateWriter(failing{broken}, 1<<20), 1)
	var err error
	for range 100000 {
		if err = w.Row(`a "long" cell`); err != nil {
			break
		}
	}
	if !errors.Is(err, broken) || !errors.Is(w.Flush(), broken) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzNeutral holds that a cell keeps what it says, that it is a text, and
// that no part of it starts a formula.
func FuzzNeutral(f *testing.F) {
	for _, s := range []string{"=1", "a;=1", "\t-x", "x", "\xff", "+\n+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := string(sheet.Neutral(nil, []byte(in)))
		if !utf8.ValidString(out) || strings.ContainsRune(out, 0) {
			t.Fatalf("%q became %q", in, out)
		}
		for _, part := range strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune(";\r\n\t", r) }) {
			if p := strings.Trim(part, " \""); p != "" && strings.ContainsAny(p[:1], "=+-@") {
				t.Fatalf("%q became %q: %q is a formula", in, out, part)
			}
		}
		if strings.ReplaceAll(out, "'", "") != strings.ReplaceAll(strings.ReplaceAll(strings.ToValidUTF8(in, "\ufffd"), "\x00", ""), "'", "") && utf8.ValidString(in) {
			t.Fatalf("%q lost something as %q", in, out)
		}
	})
}
