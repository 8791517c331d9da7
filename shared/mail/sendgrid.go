package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"
)

// sendGrid speaks SendGrid's v3 Mail Send API.
// Source: docs.sendgrid.com/api-reference/mail-send/mail-send.
type sendGrid struct {
	endpoint, key string
	sandbox       bool
	client        *http.Client
}

func newSendGrid(u *url.URL, timeout time.Duration, trust *tls.Config) *sendGrid {
	scheme := "https"
	if u.Scheme == "sendgrid+http" {
		scheme = "http"
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: 8,
		IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
	}
	if trust != nil {
		transport.TLSClientConfig = trust.Clone()
	}
	return &sendGrid{
		endpoint: scheme + "://" + u.Host + "/v3/mail/send", key: u.User.Username(), sandbox: u.Query().Get("sandbox") == "true",
		client: &http.Client{
			Timeout: timeout, Transport: transport,
			// A redirect would carry the key to wherever it points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

type sgAddress struct {
	Email string `json:"email"`
	Name  string `json:"name,omitempty"`
}

type sgContent struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type sgSwitch struct {
	Enable bool `json:"enable"`
}

type sgRecipient struct {
	To         []sgAddress       `json:"to"`
	CustomArgs map[string]string `json:"custom_args"`
}

type sgMail struct {
	Personalizations []sgRecipient       `json:"personalizations"`
	From             sgAddress           `json:"from"`
	ReplyTo          *sgAddress          `json:"reply_to,omitempty"`
	Subject          string              `json:"subject"`
	Content          []sgContent         `json:"content"`
	Headers          map[string]string   `json:"headers"`
	Categories       []string            `json:"categories,omitempty"`
	Tracking         map[string]sgSwitch `json:"tracking_settings"`
	Settings         map[string]sgSwitch `json:"mail_settings,omitempty"`
}

func (s *sendGrid) Send(ctx context.Context, m Message) error {
	out := sgMail{
		// The API has no idempotency key: the Message-ID and this argument, which
		// its event log shows, are how a message sent twice is recognised.
		Personalizations: []sgRecipient{{To: []sgAddress{{m.To.Address, m.To.Name}}, CustomArgs: map[string]string{"message_id": m.ID}}},
		From:             sgAddress{m.From.Address, m.From.Name},
		Subject:          m.Subject,
		Content:          []sgContent{{"text/plain", m.Text}, {"text/html", m.HTML}},
		Headers:          map[string]string{"Message-ID": "<" + m.ID + ">", "Auto-Submitted": "auto-generated"},
		// Rewritten links would pass secrets through a redirector, and its own
		// unsubscribe link would not be ours.
		Tracking: map[string]sgSwitch{"click_tracking": {}, "open_tracking": {}, "subscription_tracking": {}},
	}
	if m.ReplyTo.Address != "" {
		out.ReplyTo = &sgAddress{m.ReplyTo.Address, m.ReplyTo.Name}
	}
	if m.Kind != "" {
		out.Categories = []string{m.Kind}
	}
	for _, h := range m.Headers {
		out.Headers[h.Name] = h.Value
	}
	if s.sandbox {
		out.Settings = map[string]sgSwitch{"sandbox_mode": {Enable: true}}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	var said atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) {
		if w.Err == nil {
			said.Store(true)
		}
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	switch {
	case err != nil && said.Load():
		return &Unanswered{err}
	case err != nil:
		return unavailable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if resp.StatusCode/100 == 2 {
		return nil // taken: a body that broke off changes nothing
	}
	cause := fmt.Errorf("sendgrid answered %d: %s", resp.StatusCode, Line(string(answer), 500))
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		// The message itself. Mailboxes that do not exist are told later, by
		// events, so that nothing here is a hard bounce.
		return &Rejected{Code: resp.StatusCode, cause: errors.Join(cause, err)}
	}
	// 429, 5xx, and what the operator mends: the key, the sender's identity.
	return unavailable(errors.Join(cause, err))
}
