package push

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/queue"
)

// The services' limits for what they push, in bytes. Sources:
// docs.cloud.google.com/tasks/docs/quotas, docs.cloud.google.com/pubsub/quotas;
// a pushed Pub/Sub message of 10 MB has grown by a third in base64.
const (
	MaxTask  = 1 << 20
	MaxEvent = 10<<20/3*4 + 64<<10
)

// read takes the message out of a request of a caller who is known.
func read(w http.ResponseWriter, r *http.Request) (queue.Delivery, error) {
	limit, parse := int64(MaxEvent), parseEvent
	if task := r.Header.Get("X-CloudTasks-TaskName"); task != "" {
		limit, parse = MaxTask, func(body []byte) (queue.Delivery, error) { return parseTask(r.Header, body) }
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return queue.Delivery{}, err
	}
	d, err := parse(body)
	if err != nil {
		return queue.Delivery{}, malformed(err)
	}
	return d, nil
}

func malformed(err error) error {
	return errs.Wrap(err, errs.Malformed, "malformed_message", "The request carries no message of the platform.")
}

// readVouched takes the message out of a request that the platform made of one:
// the body is the envelope.
func readVouched(r *http.Request, call queue.Call) (queue.Delivery, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return queue.Delivery{}, err
	}
	e, err := queue.Parse(body)
	if err != nil {
		return queue.Delivery{}, malformed(err)
	}
	return queue.Delivery{Envelope: e, Attempt: call.Attempt}, nil
}

// parseTask reads a Cloud Tasks request: the body is the envelope. Source:
// docs.cloud.google.com/tasks/docs/creating-http-target-tasks, "handler".
func parseTask(h http.Header, body []byte) (queue.Delivery, error) {
	e, err := queue.Parse(body)
	if err != nil {
		return queue.Delivery{}, err
	}
	retries, err := strconv.ParseUint(h.Get("X-CloudTasks-TaskRetryCount"), 10, 31)
	if err != nil {
		retries = 0
	}
	return queue.Delivery{Envelope: e, Attempt: int(retries) + 1}, nil
}

// wrapped is the body of a Pub/Sub push request. Source:
// docs.cloud.google.com/pubsub/docs/push, "wrapped message".
type wrapped struct {
	Message *struct {
		Data []byte `json:"data"`
	} `json:"message"`
	Subscription string `json:"subscription"`
	// Attempt is there only if the subscription has a dead-letter policy.
	Attempt int `json:"deliveryAttempt"`
}

func parseEvent(body []byte) (queue.Delivery, error) {
	var in wrapped
	if err := json.Unmarshal(body, &in); err != nil {
		return queue.Delivery{}, fmt.Errorf("%w: %w", queue.ErrMalformed, err)
	}
	if in.Message == nil || in.Subscription == "" {
		return queue.Delivery{}, fmt.Errorf("%w: not a Pub/Sub push request", queue.ErrMalformed)
	}
	e, err := queue.Parse(in.Message.Data)
	if err != nil {
		return queue.Delivery{}, err
	}
	return queue.Delivery{Envelope: e, Attempt: max(1, in.Attempt)}, nil
}
