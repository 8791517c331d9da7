package mailer

import (
	"bytes"
	_ "embed"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"

	"github.com/coditect/platform/shared/mail"
)

//go:embed templates/letter.html
var htmlLayout string

//go:embed templates/letter.txt
var textLayout string

var (
	asHTML = htmltemplate.Must(htmltemplate.New("letter.html").Parse(htmlLayout))
	asText = texttemplate.Must(texttemplate.New("letter.txt").Parse(textLayout))
)

// letter is what a mail says, in no form yet. Everything in it may be text of
// strangers.
type letter struct {
	to         mail.Address
	subject    string
	paragraphs []string
	rows       []row // a list between the paragraphs and the button
	action     *action
	after      []string // below the button
	footer     string
	headers    []mail.Header
	// stop is where the reader of a mail that comes regularly ends it.
	stop string
}

type row struct{ Left, Right string }

type action struct{ Label, URL string }

// page is what the templates see.
type page struct {
	Subject, Name     string
	Paragraphs, After []string
	Rows              []row
	Action            *action
	Footer, Stop      string
}

// longest is how much of a subject is kept, in characters.
const longest = 180

func (l letter) message(cfg settings, id, kind string) (mail.Message, error) {
	p := page{
		Subject: mail.Line(l.subject, longest), Name: mail.Line(l.to.Name, 80), Paragraphs: l.paragraphs, After: l.after,
		Rows: l.rows, Action: l.action, Footer: l.footer, Stop: l.stop,
	}
	var html, text bytes.Buffer
	if err := asHTML.Execute(&html, p); err != nil {
		return mail.Message{}, err
	}
	if err := asText.Execute(&text, p); err != nil {
		return mail.Message{}, err
	}
	return mail.Message{
		ID: id, Kind: kind, From: cfg.sender(), To: mail.Address{Name: mail.Line(l.to.Name, 80), Address: l.to.Address}, ReplyTo: cfg.replyTo(),
		Subject: p.Subject, HTML: html.String(), Text: strings.TrimSpace(text.String()) + "\n", Headers: l.headers,
	}, nil
}
