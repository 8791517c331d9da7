package lambdaruntime

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Kind is what stands in front of the function. Both send events of payload
// format 2.0, and differ in details.
type Kind int

// The kinds of front door.
const (
	HTTPAPI Kind = iota
	FunctionURL
)

// Gateway turns requests into events for a function, and its results into
// answers.
type Gateway struct {
	Kind    Kind
	Runtime *Runtime
	// Stage is the deployment stage of an HTTP API, which then precedes every
	// path. Empty is $default, which does not.
	Stage string
}

const defaultStage = "$default"

type event struct {
	Version         string            `json:"version"`
	RouteKey        string            `json:"routeKey"`
	RawPath         string            `json:"rawPath"`
	RawQueryString  string            `json:"rawQueryString"`
	Cookies         []string          `json:"cookies,omitempty"`
	Headers         map[string]string `json:"headers"`
	Query           map[string]string `json:"queryStringParameters,omitempty"`
	Context         eventContext      `json:"requestContext"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

type eventContext struct {
	AccountID    string      `json:"accountId"`
	APIID        string      `json:"apiId"`
	DomainName   string      `json:"domainName"`
	DomainPrefix string      `json:"domainPrefix"`
	HTTP         eventMethod `json:"http"`
	RequestID    string      `json:"requestId"`
	RouteKey     string      `json:"routeKey"`
	Stage        string      `json:"stage"`
	Time         string      `json:"time"`
	TimeEpoch    int64       `json:"timeEpoch"`
}

type eventMethod struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPayload))
	if err != nil {
		message(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	text, err := json.Marshal(g.event(r, body))
	if err != nil {
		message(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	result, err := g.Runtime.Invoke(r.Context(), text)
	if err != nil {
		g.fail(w, err)
		return
	}
	if err := answer(w, result); err != nil {
		g.fail(w, err)
	}
}

// fail answers for a function that did not.
func (g *Gateway) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		message(w, http.StatusServiceUnavailable, "Service Unavailable")
	case g.Kind == FunctionURL:
		message(w, http.StatusBadGateway, "Internal Server Error")
	default:
		message(w, http.StatusInternalServerError, "Internal Server Error")
	}
}

func message(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": text})
}

func (g *Gateway) event(r *http.Request, body []byte) event {
	now := time.Now().UTC()
	domain, account, stage, path := "abcdefghij.execute-api.eu-west-1.amazonaws.com", "123456789012", defaultStage, r.URL.EscapedPath()
	if g.Kind == FunctionURL {
		domain, account = "abcdefghij.lambda-url.eu-west-1.on.aws", "anonymous"
	} else if g.Stage != "" {
		stage, path = g.Stage, "/"+g.Stage+path
	}
	source, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		source = r.RemoteAddr
	}
	e := event{
		Version: "2.0", RouteKey: "$default", RawPath: path, RawQueryString: r.URL.RawQuery, Headers: headers(r, domain, source), Cookies: cookies(r),
		Context: eventContext{
			AccountID: account, APIID: "abcdefghij", DomainName: domain, DomainPrefix: "abcdefghij", RequestID: uuid.NewString(),
			RouteKey: "$default", Stage: stage, Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: eventMethod{Method: r.Method, Path: path, Protocol: r.Proto, SourceIP: source, UserAgent: r.UserAgent()},
		},
	}
	for name, values := range r.URL.Query() {
		if e.Query == nil {
			e.Query = map[string]string{}
		}
		e.Query[name] = strings.Join(values, ",")
	}
	e.Body, e.IsBase64Encoded = string(body), false
	if len(body) > 0 && (r.Header.Get("Content-Encoding") != "" || !textual(r.Header.Get("Content-Type")) || !utf8.Valid(body)) {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return e
}

// headers are in lower case with repeats joined. The host is the front door's
// own, whatever name the client used inside our network.
func headers(r *http.Request, domain, source string) map[string]string {
	out := map[string]string{}
	for name, values := range r.Header {
		switch name {
		case "Cookie", "Connection", "Keep-Alive", "Transfer-Encoding", "Te", "Trailer", "Upgrade":
		default:
			out[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	out["host"] = domain
	out["x-forwarded-proto"], out["x-forwarded-port"] = "https", "443"
	if before := out["x-forwarded-for"]; before != "" {
		source = before + ", " + source
	}
	out["x-forwarded-for"] = source
	return out
}

func cookies(r *http.Request) []string {
	var out []string
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.TrimSpace(pair); pair != "" {
				out = append(out, pair)
			}
		}
	}
	return out
}

// result is what the function gives back. Without a status the whole of it is
// the body of a 200.
type result struct {
	StatusCode      *int              `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

func answer(w http.ResponseWriter, payload []byte) error {
	var out result
	if err := json.Unmarshal(payload, &out); err != nil || out.StatusCode == nil {
		if !json.Valid(payload) {
			return errors.New("lambdaruntime: the result is no JSON")
		}
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write(payload)
		return err
	}
	body := []byte(out.Body)
	if out.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(out.Body); err != nil {
			return errors.New("lambdaruntime: the body is no base64")
		}
	}
	if *out.StatusCode < 200 || *out.StatusCode > 599 {
		return errors.New("lambdaruntime: the status is none")
	}
	for name, value := range out.Headers {
		w.Header().Set(name, value)
	}
	for _, c := range out.Cookies {
		w.Header().Add("Set-Cookie", c)
	}
	w.WriteHeader(*out.StatusCode)
	if len(body) > 0 {
		_, _ = w.Write(body) // a client that left needs no answer
	}
	return nil
}

func textual(contentType string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	return strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") ||
		kind == "application/json" || kind == "application/xml" || kind == "application/javascript"
}
