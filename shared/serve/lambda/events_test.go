package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/coditect/platform/shared/queue"
)

// record is as SQS sends it.
func record(id, body, group string, receives int) string {
	text, _ := json.Marshal(body)
	order := ""
	if group != "" {
		order = fmt.Sprintf(`,"MessageGroupId":%q,"SequenceNumber":"1","MessageDeduplicationId":%q`, group, id)
	}
	return fmt.Sprintf(`{"messageId":%q,"receiptHandle":"h","body":%s,"md5OfBody":"x","eventSource":"aws:sqs","awsRegion":"eu-west-1",
		"eventSourceARN":"arn:aws:sqs:eu-west-1:123456789012:reports","messageAttributes":{},
		"attributes":{"ApproximateReceiveCount":"%d","SentTimestamp":"1","SenderId":"x","ApproximateFirstReceiveTimestamp":"1"%s}}`, id, text, receives, order)
}

func batch(records ...string) string { return `{"Records":[` + strings.Join(records, ",") + `]}` }

func failures(t *testing.T, raw []byte) []string {
	t.Helper()
	var out struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(raw, &out); err != nil || out.BatchItemFailures == nil {
		t.Fatalf("%s: %v", raw, err)
	}
	ids := []string{}
	for _, f := range out.BatchItemFailures {
		ids = append(ids, f.ItemIdentifier)
	}
	slices.Sort(ids)
	return ids
}

func TestBatches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records []string
		served  map[string]string // bodies of a group in the order of service
		failed  []string
	}{
		"all fine": {
			[]string{record("1", "ok a", "", 1), record("2", "ok b", "", 1)},
			map[string]string{"a": "ok a", "b": "ok b"}, []string{},
		},
		"some fail": {
			[]string{record("1", "ok a", "", 1), record("2", "bad b", "", 1), record("3", "panic c", "", 1), record("4", "abort d", "", 1), record("5", "ok e", "", 1)},
			map[string]string{"a": "ok a", "b": "bad b", "c": "panic c", "d": "abort d", "e": "ok e"}, []string{"2", "3", "4"},
		},
		"a group stops at its first failure, others do not": {
			[]string{record("1", "ok g", "g", 1), record("2", "ok h", "h", 1), record("3", "bad g", "g", 1), record("4", "ok h 2", "h", 1), record("5", "ok g 2", "g", 1)},
			map[string]string{"g": "ok g,bad g", "h": "ok h,ok h 2"}, []string{"3", "5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			served := map[string]string{}
			raw, err := Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				words := strings.Fields(string(body))
				mu.Lock()
				served[words[1]] = strings.TrimPrefix(served[words[1]]+","+string(body), ",")
				mu.Unlock()
				switch words[0] {
				case "bad":
					w.WriteHeader(http.StatusInternalServerError)
				case "panic":
					panic("x")
				case "abort":
					panic(http.ErrAbortHandler)
				}
			})).Invoke(t.Context(), []byte(batch(c.records...)))
			if err != nil {
				t.Fatal(err)
			}
			if got := failures(t, raw); !slices.Equal(got, c.failed) {
				t.Errorf("failed %v, want %v", got, c.failed)
			}
			if !maps.Equal(served, c.served) {
				t.Errorf("served %v, want %v", served, c.served)
			}
		})
	}
}

// TestRequestsOfRecords holds what a job function sees, and that nothing but
// the body comes from the record.
func TestRequestsOfRecords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ receives, attempt int }{{1, 1}, {4, 4}, {0, 1}, {-3, 1}} {
		raw, err := Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			call, vouched := queue.Vouched(r.Context())
			body, _ := io.ReadAll(r.Body)
			if !vouched || call.Attempt != c.attempt || r.Method != http.MethodPost || r.URL.Path != "/" || string(body) != "ä" || r.ContentLength != 2 || len(r.Header) != 1 {
				t.Errorf("%v %v %s %s %q %v", call, vouched, r.Method, r.URL, body, r.Header)
			}
		})).Invoke(t.Context(), []byte(batch(record("1", "ä", "", c.receives))))
		if err != nil || len(failures(t, raw)) != 0 {
			t.Errorf("%s %v", raw, err)
		}
	}
}

// TestNoTimeLeft holds that what was not begun stays in the queue, and that
// background work is told to stop early enough to be recorded.
func TestNoTimeLeft(t *testing.T) {
	t.Parallel()
	over, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	raw, err := Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("served") })).
		Invoke(over, []byte(batch(record("1", "a", "", 1), record("2", "b", "g", 1))))
	if err != nil || !slices.Equal(failures(t, raw), []string{"1", "2"}) {
		t.Errorf("%s %v", raw, err)
	}
	for left, want := range map[time.Duration]time.Duration{time.Hour: reserveBackground, 5 * time.Second: 500 * time.Millisecond, time.Second: reserve} {
		if got := kept(kindSQS, left); got != want {
			t.Errorf("of %s %s are kept, not %s", left, got, want)
		}
	}
}

const tick = `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.events","account":"123456789012",
	"time":"2026-11-24T05:15:00Z","region":"eu-west-1","resources":["arn:aws:events:eu-west-1:123456789012:rule/daily"],"detail":{}}`

func TestClock(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	h := Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, vouched := queue.Vouched(r.Context())
		if !vouched || call.Attempt != 0 || r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("X-CloudScheduler-ScheduleTime") != "2026-11-24T05:15:00Z" {
			t.Errorf("%v %v %s %s %v", call, vouched, r.Method, r.URL, r.Header)
		}
		w.WriteHeader(status)
	}))
	for _, text := range []string{tick, strings.NewReplacer("aws.events", "aws.scheduler", `"detail":{}`, `"detail":"{}"`).Replace(tick)} {
		if raw, err := h.Invoke(t.Context(), []byte(text)); err != nil || string(raw) != "{}" {
			t.Errorf("%s %v", raw, err)
		}
	}
	status = http.StatusServiceUnavailable
	if _, err := h.Invoke(t.Context(), []byte(tick)); err == nil || errors.Is(err, ErrUnknownEvent) {
		t.Errorf("a call that failed: %v", err)
	}
}

// TestUnknownEvents holds that nothing passes for done that nobody looked at,
// and that no event is two.
func TestUnknownEvents(t *testing.T) {
	t.Parallel()
	one := record("1", "a", "", 1)
	for name, text := range map[string]string{
		"nothing":               ``,
		"null":                  `null`,
		"no object":             `[1]`,
		"empty":                 `{}`,
		"an envelope":           `{"version":1,"kind":"x"}`,
		"payload format 1.0":    `{"version":"1.0","resource":"/","path":"/","httpMethod":"GET","requestContext":{}}`,
		"a load balancer's":     `{"requestContext":{"elb":{}},"httpMethod":"GET","path":"/"}`,
		"S3":                    batch(strings.Replace(one, "aws:sqs", "aws:s3", 1)),
		"SNS":                   `{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","Sns":{"MessageId":"1","Message":"{}"}}]}`,
		"DynamoDB among others": batch(one, strings.Replace(one, "aws:sqs", "aws:dynamodb", 1)),
		"no records":            `{"Records":[]}`,
		"records of null":       `{"Records":null}`,
		"records are no list":   `{"Records":{}}`,
		"a record without id":   batch(record("", "a", "", 1)),
		"records in small":      strings.Replace(batch(one), "Records", "records", 1),
		"records and a request": strings.Replace(batch(one), "{", `{"version":"2.0","requestContext":{},`, 1),
		"records and a clock":   strings.Replace(tick, "{", `{"Records":[],`, 1),
		"an object in S3":       strings.Replace(strings.Replace(tick, "Scheduled Event", "Object Created", 1), "aws.events", "aws.s3", 1),
		"anybody's clock":       strings.Replace(tick, "aws.events", "com.example", 1),
		"a clock without time":  strings.Replace(tick, "2026-11-24T05:15:00Z", "0001-01-01T00:00:00Z", 1),
		"a clock of no time":    strings.Replace(tick, "2026-11-24T05:15:00Z", "now", 1),
	} {
		if raw, err := Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Errorf("%s: served", name) })).Invoke(t.Context(), []byte(text)); !errors.Is(err, ErrUnknownEvent) {
			t.Errorf("%s: %s %v", name, raw, err)
		}
	}
}

// TestHTTPIsNotVouchedFor holds that a client cannot make its request one of
// the platform's.
func TestHTTPIsNotVouchedFor(t *testing.T) {
	t.Parallel()
	for _, body := range []string{batch(record("1", "a", "", 1)), tick} {
		event := events.APIGatewayV2HTTPRequest{
			Body: body, RawPath: "/", RawQueryString: "Records=1&detail-type=x",
			Headers: map[string]string{"x-cloudtasks-taskname": "t", "x-cloudtasks-taskretrycount": "1", "x-cloudscheduler-scheduletime": "2026-11-24T05:15:00Z", "records": "[]", "detail-type": "Scheduled Event"},
		}
		event.RequestContext.HTTP.Method = http.MethodPost
		served := false
		if _, err := over(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			served = true
			if call, vouched := queue.Vouched(r.Context()); vouched {
				t.Errorf("believed as %+v", call)
			}
		}), event); err != nil || !served {
			t.Error(err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(batch(record("1", "a", "g", 2))))
	f.Add([]byte(tick))
	f.Add([]byte(event("$default", "/", "")))
	f.Fuzz(func(t *testing.T, text []byte) {
		served := false
		raw, err := Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })).Invoke(t.Context(), text)
		if err == nil && !json.Valid(raw) {
			t.Errorf("answered %q", raw)
		}
		if errors.Is(err, ErrUnknownEvent) && served {
			t.Error("served and refused")
		}
	})
}
