package mailbox

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Message is a mail that was taken, read.
type Message struct {
	ID         string              `json:"id"`
	ReceivedAt time.Time           `json:"received_at"`
	From       string              `json:"from"` // as the header says, decoded
	To         []string            `json:"to"`   // the envelope's
	Subject    string              `json:"subject"`
	MessageID  string              `json:"message_id"`
	Header     map[string][]string `json:"headers"`
	Text       string              `json:"text"`
	HTML       string              `json:"html"`
	// Links are the addresses in the text, in their order.
	Links []string `json:"links"`
	Raw   string   `json:"-"`
}

// Messages gives what was sent to a recipient, or with "" to all, the newest
// first.
func (b *Box) Messages(to string) []Message {
	out := []Message{}
	for _, m := range b.store.list(to) {
		out = append(out, read(m))
	}
	return out
}

// Clear forgets every message.
func (b *Box) Clear() error { return b.store.clear() }

var address = regexp.MustCompile(`https?://[^\s<>"]+`)

// read takes a message apart. What cannot be read is shown as it came.
func read(m kept) Message {
	out := Message{ID: m.ID, ReceivedAt: m.Received, From: m.From, To: m.To, Raw: string(m.Raw), Links: []string{}, Header: map[string][]string{}}
	parsed, err := netmail.ReadMessage(bytes.NewReader(m.Raw))
	if err != nil {
		out.Text = out.Raw
		return out
	}
	out.Header = parsed.Header
	out.From, out.Subject = decoded(parsed.Header.Get("From")), decoded(parsed.Header.Get("Subject"))
	out.MessageID = strings.Trim(parsed.Header.Get("Message-ID"), "<>")
	out.part(parsed.Header.Get("Content-Type"), parsed.Header.Get("Content-Transfer-Encoding"), parsed.Body, 0)
	if found := address.FindAllString(out.Text, -1); found != nil {
		out.Links = slices.Compact(found)
	}
	return out
}

func decoded(s string) string {
	if plain, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		return plain
	}
	return s
}

func (m *Message) part(contentType, encoding string, body io.Reader, depth int) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && depth < 5 {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			// Raw: a plain NextPart would undo one of the encodings by itself.
			p, err := parts.NextRawPart()
			if err != nil {
				return
			}
			m.part(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1)
		}
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(io.LimitReader(body, maxMessage))
	if err != nil && len(content) == 0 {
		return
	}
	switch kind {
	case "text/plain":
		m.Text += string(content)
	case "text/html":
		m.HTML += string(content)
	}
}
