// Package sheet writes CSV for people who open it in a spreadsheet: UTF-8 with
// a byte order mark (Excel reads another encoding without it), RFC 4180 line
// ends and quotes, and no cell that a spreadsheet would run as a formula.
//
// Machines are better served with JSON, which says exactly what was stored;
// here a text that could be a formula gets an apostrophe before it (OWASP, "CSV
// Injection").
package sheet

import (
	"bufio"
	"io"
	"unicode"
	"unicode/utf8"
)

// Writer writes rows of equal width. Its memory does not grow with them.
type Writer struct {
	w     *bufio.Writer
	width int
	begun bool
	cell  []byte // what is written
	text  []byte // what it is made of
}

// NewWriter writes to w. Rows have width cells: shorter ones are filled up, as
// RFC 4180 wants the same number on each line.
func NewWriter(w io.Writer, width int) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 32<<10), width: width}
}

// Row writes a line. It panics on more cells than the sheet is wide.
func (s *Writer) Row(cells ...string) error {
	if len(cells) > s.width {
		panic("sheet: a row is wider than the sheet")
	}
	for i := range s.width {
		s.text = s.text[:0]
		if i < len(cells) {
			s.text = append(s.text, cells[i]...)
		}
		if err := s.put(i, s.text); err != nil {
			return err
		}
	}
	return s.end()
}

// Raw writes a line of as many cells as the sheet is wide. It keeps none of them.
func (s *Writer) Raw(cells [][]byte) error {
	if len(cells) != s.width {
		panic("sheet: a row is not as wide as the sheet")
	}
	for i, c := range cells {
		if err := s.put(i, c); err != nil {
			return err
		}
	}
	return s.end()
}

func (s *Writer) put(column int, cell []byte) error {
	if !s.begun {
		s.begun = true
		if _, err := s.w.WriteString("\ufeff"); err != nil {
			return err
		}
	}
	if column > 0 {
		if err := s.w.WriteByte(','); err != nil {
			return err
		}
	}
	s.cell = Neutral(s.cell[:0], cell)
	if !needsQuotes(s.cell) {
		_, err := s.w.Write(s.cell)
		return err
	}
	_ = s.w.WriteByte('"')
	for _, b := range s.cell {
		if b == '"' {
			_ = s.w.WriteByte('"')
		}
		_ = s.w.WriteByte(b) // a bufio.Writer remembers its first error
	}
	return s.w.WriteByte('"')
}

func (s *Writer) end() error {
	_, err := s.w.WriteString("\r\n")
	return err
}

// Flush writes what is buffered.
func (s *Writer) Flush() error { return s.w.Flush() }

func needsQuotes(cell []byte) bool {
	for _, b := range cell {
		switch b {
		case '"', ',', ';', '\n', '\r', '\t', ' ', '|':
			return true
		}
	}
	return false
}

// Neutral appends cell to out so that no spreadsheet takes any of it for a
// formula. A formula may start a cell, and it may start what another program
// takes for a cell: one that splits at semicolons, tabs or line ends, whatever
// the quotes.
func Neutral(out, cell []byte) []byte {
	starts := true // the next visible character starts a cell
	for i := 0; i < len(cell); {
		r, size := utf8.DecodeRune(cell[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			out, i, starts = append(out, "\ufffd"...), i+1, false
			continue
		case r == 0:
			i++ // some programs end a text there
			continue
		case starts && dangerous(r):
			out, starts = append(out, '\''), false
		case r == ';' || r == '\n' || r == '\r' || r == '\t':
			starts = true
		case r == '"' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) || unicode.IsControl(r):
			// What programs strip before they look.
		default:
			starts = false
		}
		out, i = append(out, cell[i:i+size]...), i+size
	}
	// A tab or a line end at the very start makes some programs look at what
	// follows in another way (OWASP lists both).
	if len(out) > 0 && (out[0] == '\t' || out[0] == '\r' || out[0] == '\n') {
		out = append(out, 0)
		copy(out[1:], out)
		out[0] = '\''
	}
	return out
}

func dangerous(r rune) bool {
	switch r {
	case '=', '+', '-', '@', '＝', '＋', '－', '＠', '−', '﹣', '﹢', '﹦', '﹫':
		return true
	}
	return false
}
