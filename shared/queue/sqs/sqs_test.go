package sqs

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/queue"
)

const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

// A service that takes batches: what it has, by queue, and how it answers.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	has    map[string][]string // ids of messages
	delays map[string]int
	calls  int
	answer func(body string) (status int, text string) // "" is the ordinary answer
}

type batch struct {
	QueueURL string `json:"QueueUrl"`
	Entries  []struct {
		ID    string `json:"Id"`
		Body  string `json:"MessageBody"`
		Delay int    `json:"DelaySeconds"`
	}
}

func start(t *testing.T) *service {
	t.Helper()
	s := &service{has: map[string][]string{}, delays: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(t, w, r) }))
	t.Cleanup(s.Close)
	return s
}

func (s *service) serve(t *testing.T, w http.ResponseWriter, r *http.Request) {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	if r.URL.Path != "/" || r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessageBatch" || r.Header.Get("Content-Type") != "application/x-amz-json-1.0" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	s.signed(t, r, raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.answer != nil {
		if status, text := s.answer(string(raw)); text != "" {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
	}
	var in batch
	if err := json.Unmarshal(raw, &in); err != nil {
		t.Error(err)
	}
	if len(in.Entries) == 0 || len(in.Entries) > batchMessages || len(raw) > batchBytes+64<<10 {
		t.Errorf("%d entries of %d bytes", len(in.Entries), len(raw))
	}
	name := in.QueueURL[strings.LastIndexByte(in.QueueURL, '/')+1:]
	var out []map[string]string
	for _, e := range in.Entries {
		envelope, err := queue.Parse([]byte(e.Body))
		if err != nil {
			t.Error(err)
		}
		s.has[name] = append(s.has[name], envelope.ID.String())
		s.delays[envelope.ID.String()] = e.Delay
		out = append(out, map[string]string{"Id": e.ID, "MessageId": ids.New().String()})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Successful": out})
}

// signed makes the signature again, of what came, and compares.
func (s *service) signed(t *testing.T, r *http.Request, body []byte) {
	t.Helper()
	given := r.Header.Get("Authorization")
	if !strings.HasPrefix(given, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") || !strings.Contains(given, "/eu-west-1/sqs/aws4_request") || r.Header.Get("X-Amz-Security-Token") != "session" {
		t.Errorf("signed as %q", given)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Error(err)
		return
	}
	again, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL+"/", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return
	}
	for _, name := range []string{"Content-Type", "X-Amz-Target"} {
		again.Header.Set(name, r.Header.Get(name))
	}
	who := aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: secret, SessionToken: "session"}
	if err := v4.NewSigner().SignHTTP(t.Context(), who, again, digest(body), "sqs", "eu-west-1", at); err != nil {
		t.Error(err)
	}
	if want := again.Header.Get("Authorization"); want != given {
		t.Errorf("signed\n%s, not\n%s", given, want)
	}
}

func (s *service) deliverer(t *testing.T) *Deliverer {
	t.Helper()
	cfg, err := config.Load[Config](config.Map(map[string]string{
		"SQS_QUEUE_URL": s.URL + "/123456789012/coditect-dev-{name}", "AWS_REGION": "eu-west-1",
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": "session",
	}))
	if err != nil {
		t.Fatal(err)
	}
	d := New(cfg, func(topic string) []string { return map[string][]string{"events": {"membersync", "audit"}}[topic] })
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func message(to string) queue.Handover {
	return queue.Handover{
		Envelope: queue.Envelope{Version: 1, Kind: "mail.invitation", TenantID: ids.New(), ID: ids.New(), CreatedAt: time.Now(), Payload: []byte(`{"invitation_id":"x"}`)},
		Number:   1, Consumer: queue.Consumer{Name: to, Queue: to},
	}
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	s := start(t)
	d := s.deliverer(t)
	now := time.Now()
	d.now = func() time.Time { return now }
	var messages []queue.Handover
	for range 23 {
		messages = append(messages, message("mailer"))
	}
	messages = append(messages, message("reporter"))
	event := message("")
	event.Consumer, event.Route = queue.Consumer{}, queue.Route{Kind: "profile.changed", Topic: "events"}
	messages = append(messages, event)
	delays := map[int]int{0: 0, 1: 2, 2: 900, 3: 0}
	messages[1].NotBefore = now.Add(1500 * time.Millisecond)
	messages[2].NotBefore = now.Add(time.Hour)
	messages[3].NotBefore = now.Add(-time.Hour)
	for i, err := range d.Deliver(t.Context(), messages) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	for name, want := range map[string][]queue.Handover{
		"coditect-dev-mailer": messages[:23], "coditect-dev-reporter": messages[23:24], "coditect-dev-membersync": messages[24:], "coditect-dev-audit": messages[24:],
	} {
		var all []string
		for _, m := range want {
			all = append(all, m.Envelope.ID.String())
		}
		if !slices.Equal(s.has[name], all) {
			t.Errorf("%s has %d messages, not the %d of its own in their order", name, len(s.has[name]), len(all))
		}
	}
	if s.calls != 3+1+2 {
		t.Errorf("%d requests", s.calls)
	}
	for i, want := range delays {
		if got := s.delays[messages[i].Envelope.ID.String()]; got != want {
			t.Errorf("message %d is delayed by %d s, not %d", i, got, want)
		}
	}
	if got := d.Deliver(t.Context(), nil); len(got) != 0 {
		t.Error(got)
	}
}

// The signature is the SDK's, whatever is signed.
func TestSign(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Region: "eu-west-1", Key: "AKIDEXAMPLE", Secret: secret},
		{Region: "us-gov-east-1", Key: "ASIA2", Secret: "k/+=", Session: "a/long+token=="},
	} {
		for _, body := range []string{"{}", strings.Repeat("ü", 4000)} {
			for _, host := range []string{"sqs.eu-west-1.amazonaws.com", "localhost:9324"} {
				at := time.Date(2026, 2, 3, 23, 59, 59, 0, time.FixedZone("", -3600))
				request := func() *http.Request {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+"/", strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Content-Type", "application/x-amz-json-1.0")
					r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessageBatch")
					return r
				}
				ours, theirs := request(), request()
				c.sign(ours, []byte(body), at)
				who := aws.Credentials{AccessKeyID: c.Key.Reveal(), SecretAccessKey: c.Secret.Reveal(), SessionToken: c.Session.Reveal()}
				if err := v4.NewSigner().SignHTTP(t.Context(), who, theirs, digest([]byte(body)), "sqs", c.Region, at); err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
					if ours.Header.Get(name) != theirs.Header.Get(name) {
						t.Errorf("%s %s:\n%s\n%s", host, name, ours.Header.Get(name), theirs.Header.Get(name))
					}
				}
			}
		}
	}
}

func TestBatchesAreNotTooLong(t *testing.T) {
	t.Parallel()
	long := entry{body: strings.Repeat("x", 100<<10)}
	for _, c := range []struct {
		all  []entry
		want []int
	}{
		{nil, nil},
		{[]entry{long, long, long, {}}, []int{2, 2}},
		{[]entry{{body: strings.Repeat("x", 300<<10)}, {}}, []int{1, 1}},
		{make([]entry, 25), []int{10, 10, 5}},
	} {
		var got []int
		for _, b := range batches(c.all) {
			got = append(got, len(b))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v, not %v", got, c.want)
		}
	}
}

// Each failure is of the message or of the service, and none of another message.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		text    func(entries batch) string
		gone    []int // that are not to be tried again
		waiting []int
	}{
		"one of a batch is refused": {200, func(b batch) string {
			return `{"Successful":[{"Id":"0"}],"Failed":[{"Id":"1","Code":"InvalidMessageContents","SenderFault":true}]}`
		}, []int{1}, nil},
		"one of a batch fails": {200, func(b batch) string {
			return `{"Successful":[{"Id":"1"}],"Failed":[{"Id":"0","Code":"InternalError","SenderFault":false}]}`
		}, nil, []int{0}},
		"nothing is said of one": {200, func(b batch) string {
			return `{"Successful":[{"Id":"0"},{"Id":"7"},{"Id":"x"}],"Failed":[{"Id":"-1"}]}`
		}, nil, []int{1}},
		"words":                  {200, func(b batch) string { return "ok" }, nil, []int{0, 1}},
		"a request is refused":   {400, func(b batch) string { return `{"__type":"com.amazonaws.sqs#BatchRequestTooLong"}` }, []int{0, 1}, nil},
		"no such queue":          {400, func(b batch) string { return `{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}` }, nil, []int{0, 1}},
		"not allowed":            {403, func(b batch) string { return `{"__type":"AccessDeniedException"}` }, nil, []int{0, 1}},
		"too fast":               {400, func(b batch) string { return `{"__type":"RequestThrottled"}` }, nil, []int{0, 1}},
		"a fault of the service": {500, func(b batch) string { return `{"__type":"InvalidMessageContents"}` }, nil, []int{0, 1}},
		"a proxy's answer":       {502, func(b batch) string { return "<html>" }, nil, []int{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.answer = func(body string) (int, string) {
				var in batch
				if err := json.Unmarshal([]byte(body), &in); err != nil {
					t.Error(err)
				}
				return c.status, c.text(in)
			}
			got := s.deliverer(t).Deliver(t.Context(), []queue.Handover{message("mailer"), message("mailer")})
			for i, err := range got {
				switch {
				case slices.Contains(c.gone, i):
					if err == nil || errs.KindOf(err) == errs.Unavailable {
						t.Errorf("%d: %v", i, err)
					}
				case slices.Contains(c.waiting, i):
					if errs.KindOf(err) != errs.Unavailable {
						t.Errorf("%d: %v", i, err)
					}
				case err != nil:
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	away := start(t)
	d := away.deliverer(t)
	away.Close()
	if got := d.Deliver(t.Context(), []queue.Handover{message("mailer")}); errs.KindOf(got[0]) != errs.Unavailable {
		t.Error(got)
	}
}

// A request that is refused as a whole is made again for each message: one alone is bad.
func TestTheOthersOfABatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	bad := message("mailer")
	s.answer = func(body string) (int, string) {
		if strings.Contains(body, bad.Envelope.ID.String()) {
			return 400, `{"__type":"com.amazonaws.sqs#InvalidMessageContents"}`
		}
		return 0, ""
	}
	messages := []queue.Handover{message("mailer"), bad, message("mailer")}
	for i, err := range s.deliverer(t).Deliver(t.Context(), messages) {
		if (err != nil) != (i == 1) || i == 1 && errs.KindOf(err) == errs.Unavailable {
			t.Errorf("%d: %v", i, err)
		}
	}
	if len(s.has["coditect-dev-mailer"]) != 2 {
		t.Errorf("%v", s.has)
	}
	// Of several receivers one that may take it later counts.
	s.answer = func(body string) (int, string) {
		switch {
		case strings.Contains(body, "audit"):
			return 400, `{"__type":"InvalidMessageContents"}`
		case strings.Contains(body, "membersync"):
			return 503, `{}`
		}
		return 0, ""
	}
	event := message("")
	event.Route.Topic = "events"
	for range 8 { // in either order
		if err := s.deliverer(t).Deliver(t.Context(), []queue.Handover{event})[0]; errs.KindOf(err) != errs.Unavailable {
			t.Error(err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := map[string]string{"SQS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/{name}", "AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
	if _, err := config.Load[Config](config.Map(good)); err != nil {
		t.Error(err)
	}
	if _, err := config.Load[Config](config.Map(nil)); err != nil {
		t.Errorf("where Google's services carry messages: %v", err)
	}
	for i, change := range []map[string]string{
		{"SQS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/mailer"}, {"SQS_QUEUE_URL": "sqs/{name}"}, {"AWS_REGION": ""}, {"AWS_ACCESS_KEY_ID": ""}, {"AWS_SECRET_ACCESS_KEY": ""},
	} {
		vars := map[string]string{}
		maps.Copy(vars, good)
		maps.Copy(vars, change)
		if _, err := config.Load[Config](config.Map(vars)); err == nil {
			t.Errorf("%d: %v is accepted", i, strconv.Quote(vars["SQS_QUEUE_URL"]))
		}
	}
}
