package lambda

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"

	"github.com/coditect/platform/shared/queue"
)

// sideBySide is how many records of a batch are served at a time. A batch of
// SQS is ten unless the mapping says otherwise.
const sideBySide = 10

// serveSQS serves each record of a batch as a message and names those that
// stay in the queue. Records of one message group are served one after the
// other, and none after the first that failed; groups do not wait for one
// another
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
func (a adapter) serveSQS(ctx context.Context, event events.SQSEvent) (events.SQSEventResponse, error) {
	groups, err := grouped(event.Records)
	if err != nil {
		return events.SQSEventResponse{}, err
	}
	var (
		mu  sync.Mutex
		out = events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
		all sync.WaitGroup
	)
	places := make(chan struct{}, sideBySide)
	for _, records := range groups {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			served := 0
			for served < len(records) && a.serveRecord(ctx, records[served]) {
				served++
			}
			mu.Lock()
			defer mu.Unlock()
			for _, left := range records[served:] {
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: left.MessageId})
			}
		})
	}
	all.Wait()
	return out, nil
}

// grouped puts records together that must not overtake one another, in the
// order of their arrival. It refuses a batch that is not whole, and one of
// another service whose events have the same form: to answer it as a batch of
// SQS would take it for done.
func grouped(records []events.SQSMessage) ([][]events.SQSMessage, error) {
	if len(records) == 0 {
		return nil, fmt.Errorf("%w: no records", ErrUnknownEvent)
	}
	var out [][]events.SQSMessage
	at := map[string]int{}
	for _, r := range records {
		if r.EventSource != "aws:sqs" || r.MessageId == "" {
			return nil, fmt.Errorf("%w: a record of %q", ErrUnknownEvent, r.EventSource)
		}
		group := r.Attributes["MessageGroupId"]
		i, known := at[group]
		if !known || group == "" {
			i, out = len(out), append(out, nil)
			at[group] = i
		}
		out[i] = append(out[i], r)
	}
	return out, nil
}

// serveRecord reports whether the record is dealt with.
func (a adapter) serveRecord(ctx context.Context, record events.SQSMessage) (dealt bool) {
	if ctx.Err() != nil {
		return false // no time is left to begin with it
	}
	defer func() {
		// Not the whole batch's, although this record's fault.
		if p := recover(); p != nil {
			dealt = false
			slog.LogAttrs(ctx, slog.LevelError, "record panicked", slog.String("message_id", record.MessageId), slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
		}
	}()
	return successful(a.call(ctx, queue.Call{Attempt: receives(record)}, record.Body, nil))
}

// receives is how often SQS has handed the record out; the first time is 1.
func receives(record events.SQSMessage) int {
	n, err := strconv.ParseUint(record.Attributes["ApproximateReceiveCount"], 10, 31)
	if err != nil {
		return 1
	}
	return max(1, int(n))
}

// call makes a request of our own, which the handler may believe, and gives the
// status of its answer.
func (a adapter) call(ctx context.Context, c queue.Call, body string, header http.Header) int {
	r, err := http.NewRequestWithContext(queue.Vouch(ctx, c), http.MethodPost, "https://lambda.internal/", strings.NewReader(body))
	if err != nil {
		return http.StatusInternalServerError // of constants: it cannot be
	}
	r.RequestURI, r.RemoteAddr = "/", "127.0.0.1:0"
	r.Header.Set("Content-Type", "application/json")
	maps.Copy(r.Header, header)
	w := &recorder{header: http.Header{}}
	if !w.serve(a.handler, r) {
		return http.StatusInternalServerError
	}
	w.WriteHeader(http.StatusOK)
	return w.status
}

func successful(status int) bool { return status >= 200 && status < 300 }
