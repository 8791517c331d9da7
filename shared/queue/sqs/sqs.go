// Package sqs hands messages to Amazon's SQS, where the platform runs on AWS
// Lambda: each job function and each listener has a queue of its own, whose batches
// shared/serve/lambda serves.
//
// It speaks the one operation that is needed, SendMessageBatch in AWS's JSON
// protocol, and signs it with the credentials that Lambda gives the function. A
// message that was handed over twice is there twice, as SQS has no names for
// messages: consumers know what they processed.
package sqs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/queue"
)

// Config says where the queues are, and as whom messages are sent.
type Config struct {
	// QueueURL is the address of a function's queue, in which {name} stands for the
	// function. Empty means that Google's services carry the messages.
	QueueURL string `env:"SQS_QUEUE_URL"`
	// What Lambda tells every function of itself.
	Region  string        `env:"AWS_REGION"`
	Key     config.Secret `env:"AWS_ACCESS_KEY_ID"`
	Secret  config.Secret `env:"AWS_SECRET_ACCESS_KEY"`
	Session config.Secret `env:"AWS_SESSION_TOKEN"`
}

const nameMark = "{name}"

// Validate refuses an address that is none, and a sender that nobody knows.
func (c Config) Validate() error {
	if c.QueueURL == "" {
		return nil
	}
	var faults []error
	if u, err := url.Parse(c.address("x")); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.Contains(c.QueueURL, nameMark) {
		faults = append(faults, config.Invalid("SQS_QUEUE_URL", "must be http(s)://host/path, with {name} for the function"))
	}
	if c.Region == "" {
		faults = append(faults, config.Invalid("AWS_REGION", "must be set"))
	}
	if !c.Key.IsSet() || !c.Secret.IsSet() {
		faults = append(faults, config.Invalid("AWS_ACCESS_KEY_ID", "must be set, and AWS_SECRET_ACCESS_KEY, to send messages"))
	}
	return errors.Join(faults...)
}

func (c Config) address(name string) string { return strings.ReplaceAll(c.QueueURL, nameMark, name) }

// What the service takes in one request.
// Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html.
const (
	batchMessages = 10
	batchBytes    = 256 << 10
	// longest is how much later than now a message can be delivered.
	longest = 15 * time.Minute
)

const (
	// timeout bounds a whole hand-over: what was not taken by then is handed over
	// again.
	timeout = 15 * time.Second
	// answer bounds what is read of an answer.
	answer = 1 << 20
)

// Deliverer sends. It is safe for concurrent use.
type Deliverer struct {
	cfg       Config
	listeners func(topic string) []string
	client    *http.Client
	now       func() time.Time
}

var _ queue.Deliverer = (*Deliverer)(nil)

// New makes a Deliverer. SQS has no topics: a message of one goes to the queue of
// each function that listeners names.
func New(cfg Config, listeners func(topic string) []string) *Deliverer {
	return &Deliverer{
		cfg: cfg, listeners: listeners, now: time.Now,
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}},
	}
}

// An entry is a message on its way to one queue.
type entry struct {
	message int // its place among those that were given
	body    string
	delay   int
}

// Deliver sends each message to the queues of its receivers. One with several was
// delivered when all have it; those that had it already get it twice then. Errors are
// of kind errs.Unavailable, and worth another try, unless the service refused the
// message itself.
func (d *Deliverer) Deliver(ctx context.Context, messages []queue.Handover) []error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	faults := make([]error, len(messages))
	queues := map[string][]entry{}
	for i, m := range messages {
		body, err := json.Marshal(m.Envelope)
		if err != nil {
			faults[i] = fmt.Errorf("sqs: %s: %w", m.Envelope.ID, err)
			continue
		}
		for _, name := range d.receivers(m) {
			queues[name] = append(queues[name], entry{i, string(body), d.delay(m.NotBefore)})
		}
	}
	var (
		mu   sync.Mutex
		work sync.WaitGroup
	)
	for name, all := range queues {
		work.Go(func() {
			for _, batch := range batches(all) {
				for i, err := range d.send(ctx, name, batch) {
					mu.Lock()
					faults[batch[i].message] = worse(faults[batch[i].message], err)
					mu.Unlock()
				}
			}
		})
	}
	work.Wait()
	return faults
}

func (d *Deliverer) receivers(m queue.Handover) []string {
	if m.Route.Topic != "" {
		return d.listeners(m.Route.Topic)
	}
	return []string{m.Consumer.Name}
}

// delay is in whole seconds, rounded up: too early would be for nothing.
func (d *Deliverer) delay(at time.Time) int {
	if at.IsZero() {
		return 0
	}
	wait := min(max(at.Sub(d.now()), 0), longest)
	return int((wait + time.Second - 1) / time.Second)
}

// worse keeps what is worth another try: a refusal by one of several receivers is
// found again then.
func worse(a, b error) error {
	if a == nil || b != nil && errs.KindOf(b) == errs.Unavailable {
		return b
	}
	return a
}

func batches(all []entry) [][]entry {
	var out [][]entry
	size := 0
	for _, e := range all {
		if last := len(out) - 1; last >= 0 && len(out[last]) < batchMessages && size+len(e.body) <= batchBytes {
			out[last], size = append(out[last], e), size+len(e.body)
			continue
		}
		out, size = append(out, []entry{e}), len(e.body)
	}
	return out
}

// refusals are the service's words for a message that it will never take.
var refusals = map[string]bool{"InvalidMessageContents": true, "BatchRequestTooLong": true, "InvalidParameterValue": true}

// send hands one batch over, and gives an error for each entry.
func (d *Deliverer) send(ctx context.Context, name string, batch []entry) []error {
	type wire struct {
		ID    string `json:"Id"`
		Body  string `json:"MessageBody"`
		Delay int    `json:"DelaySeconds,omitempty"`
	}
	request := struct {
		QueueURL string `json:"QueueUrl"`
		Entries  []wire
	}{QueueURL: d.cfg.address(name)}
	for i, e := range batch {
		request.Entries = append(request.Entries, wire{strconv.Itoa(i), e.body, e.delay})
	}
	var result struct {
		Successful []struct {
			ID string `json:"Id"`
		}
		Failed []struct {
			ID          string `json:"Id"`
			Code        string
			SenderFault bool
		}
	}
	faults := make([]error, len(batch))
	if err := d.call(ctx, request.QueueURL, "SendMessageBatch", request, &result); err != nil {
		// The service refuses whole requests: each message of one is asked for by
		// itself, so that the others do not share the fate of the bad one.
		for i := range batch {
			faults[i] = err
			if len(batch) > 1 && errs.KindOf(err) != errs.Unavailable {
				faults[i] = d.send(ctx, name, batch[i:i+1])[0]
			}
		}
		return faults
	}
	// What the answer does not speak of was not taken.
	for i := range faults {
		faults[i] = unavailable(errors.New("the answer does not speak of the message"))
	}
	for _, s := range result.Successful {
		if i, err := strconv.Atoi(s.ID); err == nil && i >= 0 && i < len(faults) {
			faults[i] = nil
		}
	}
	for _, f := range result.Failed {
		if i, err := strconv.Atoi(f.ID); err == nil && i >= 0 && i < len(faults) {
			faults[i] = classify(f.Code, f.SenderFault)
		}
	}
	return faults
}

func (d *Deliverer) call(ctx context.Context, at, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	address, err := url.Parse(at)
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	address.Path, address.RawQuery = "/", ""
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sqs: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AmazonSQS."+operation)
	d.cfg.sign(req, body, d.now())
	resp, err := d.client.Do(req)
	if err != nil {
		return unavailable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answer))
	if err != nil {
		return unavailable(err)
	}
	if resp.StatusCode != http.StatusOK {
		var fault struct {
			Type string `json:"__type"`
		}
		if err := json.Unmarshal(text, &fault); err != nil {
			fault.Type = resp.Status
		}
		return classify(fault.Type[strings.LastIndexByte(fault.Type, '#')+1:], resp.StatusCode < http.StatusInternalServerError)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return unavailable(fmt.Errorf("an answer that cannot be read: %w", err))
	}
	return nil
}

// classify tells a service that does not work, or does not let us, from a message
// that it will never take.
func classify(code string, sender bool) error {
	err := fmt.Errorf("sqs: %s", code)
	if sender && refusals[code] {
		return err
	}
	return unavailable(err)
}

func unavailable(err error) error {
	return errs.Wrap(err, errs.Unavailable, "queue_unavailable", "The message queue cannot be reached.")
}

// Close ends the connections that wait for the next batch.
func (d *Deliverer) Close() error {
	d.client.CloseIdleConnections()
	return nil
}
