// Package lambda serves a function on AWS Lambda. One program takes every event
// that a function of ours may be invoked with, tells them apart by what they
// are, and makes a request of each for the same handler as elsewhere:
//
//   - HTTP, from an API Gateway HTTP API (payload format 2.0) or a function URL
//     in buffered mode (http.go). An answer is at most 6 MB there, so large
//     files go by signed URL.
//   - SQS, for job functions (sqs.go): the body of a record is a
//     queue.Envelope, and an answer other than 2xx leaves the record in the
//     queue.
//   - The clock of EventBridge, for schedules (schedule.go): a rule or a
//     schedule without an input of its own.
//
// Any other event fails the invocation; nothing is taken for done that nobody
// looked at.
//
// What the deployment must bring for background work on AWS:
//
//   - An event source mapping from the function's queue with
//     ReportBatchItemFailures. Without it SQS ignores which records failed and
//     deletes the batch; the outbox then hands the lost ones over again after
//     their lease.
//   - A queue per job function, with a visibility timeout of at least six times
//     the function's timeout (AWS's advice) and a dead-letter queue whose
//     maxReceiveCount is above the consumer's max_attempts in
//     functions/functions.json: the worker gives up first, and says so in the
//     outbox. FIFO queues keep the order of their MessageGroupId; a publisher
//     takes owner and key for it, and the message's id and hand-over for the
//     deduplication id.
//   - A publisher: the relay hands over to Cloud Tasks and Pub/Sub; one for SQS
//     is a queue.Deliverer in schedulers/outboxrelay/open.go. SNS in between
//     needs raw message delivery.
//   - IAM that lets only the queue's mapping and the scheduler's role invoke the
//     function: whoever may invoke it is believed (queue.Vouch), as no token
//     comes with these events.
//
// A new sort of event is a case in kindOf and a file.
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
)

// reserve is kept of the remaining time for sending the answer: an invocation
// that runs out answers nothing at all. Background work keeps more, to tell the
// database what it came to.
const (
	reserve           = 250 * time.Millisecond
	reserveBackground = 2 * time.Second
)

// Start serves h until the runtime ends the process.
func Start(ctx context.Context, h http.Handler) {
	awslambda.StartWithOptions(Handler(h), awslambda.WithContext(ctx))
}

// ErrUnknownEvent is an event of a service that the platform has no use for.
var ErrUnknownEvent = errors.New("lambda: not an event that this function takes")

// Handler turns an http.Handler into the handler of events.
func Handler(h http.Handler) awslambda.Handler { return adapter{h} }

type adapter struct{ handler http.Handler }

// Invoke is awslambda.Handler's.
func (a adapter) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	kind, err := kindOf(payload)
	if err != nil {
		return nil, err
	}
	if end, bounded := ctx.Deadline(); bounded {
		early, stop := context.WithDeadline(ctx, end.Add(-kept(kind, time.Until(end))))
		defer stop()
		ctx = early
	}
	switch kind {
	case kindHTTP:
		return answered(ctx, payload, a.serveHTTP)
	case kindSQS:
		return answered(ctx, payload, a.serveSQS)
	case kindClock:
		return answered(ctx, payload, a.serveClock)
	}
	return nil, ErrUnknownEvent
}

// kept is how much of the time that is left is not the handler's: a tenth at
// most beyond what an answer needs.
func kept(k kind, left time.Duration) time.Duration {
	if k == kindHTTP {
		return reserve
	}
	return max(reserve, min(reserveBackground, left/10))
}

// answered decodes an event, has it served, and encodes what came of it.
func answered[I, O any](ctx context.Context, payload []byte, serve func(context.Context, I) (O, error)) ([]byte, error) {
	var in I
	if err := json.Unmarshal(payload, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownEvent, err)
	}
	out, err := serve(ctx, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

type kind uint8

const (
	kindHTTP kind = iota + 1
	kindSQS
	kindClock
)

// kindOf tells the services' events apart by what only they have. The names of
// an event's own fields are exact and come from AWS; what a client sends is
// inside of them. Whatever fits none, or more than one, is refused.
func kindOf(payload []byte) (kind, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknownEvent, err)
	}
	_, request := fields["requestContext"]
	_, records := fields["Records"]
	_, detail := fields["detail-type"]
	switch {
	case request && !records && !detail:
		var version string
		if json.Unmarshal(fields["version"], &version) != nil || version != "2.0" {
			return 0, fmt.Errorf("%w: an HTTP event of another version than 2.0", ErrUnknownEvent)
		}
		return kindHTTP, nil
	case records && !request && !detail:
		return kindSQS, nil
	case detail && !request && !records:
		return kindClock, nil
	}
	return 0, ErrUnknownEvent
}
