package lambdaruntime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// batchSize is how many records an event source mapping gives to a function at
// a time, unless it is told otherwise.
const batchSize = 10

// Queue is an SQS queue with an event source mapping to a function that has
// ReportBatchItemFailures
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
// It delivers when it is told to, so that tests wait for nothing, and knows no
// visibility timeout: what failed is there for the next delivery.
type Queue struct {
	Runtime *Runtime
	// Name is the queue's. One that ends in .fifo has message groups.
	Name string

	mu       sync.Mutex
	messages []*queued
}

type queued struct {
	id, body, group string
	receives        int
}

// Send puts a message into the queue and gives its id. The group is empty in a
// standard queue.
func (q *Queue) Send(body, group string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := &queued{id: uuid.NewString(), body: body, group: group}
	q.messages = append(q.messages, m)
	return m.id
}

// Len is how many messages are left.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

type sqsRecord struct {
	MessageID         string            `json:"messageId"`
	ReceiptHandle     string            `json:"receiptHandle"`
	Body              string            `json:"body"`
	Attributes        map[string]string `json:"attributes"`
	MessageAttributes map[string]string `json:"messageAttributes"`
	EventSource       string            `json:"eventSource"`
	EventSourceARN    string            `json:"eventSourceARN"`
	Region            string            `json:"awsRegion"`
}

// Deliver gives one batch to the function, deletes what it took, and gives the
// ids of what it did not. The error is that of the invocation; nothing of the
// batch is deleted then.
func (q *Queue) Deliver(ctx context.Context) (failed []string, err error) {
	batch := q.batch()
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	records := make([]sqsRecord, len(batch))
	for i, m := range batch {
		attributes := map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.receives), "SentTimestamp": now, "SenderId": "AIDAIENQZJOLO23YVJ4VO", "ApproximateFirstReceiveTimestamp": now}
		if strings.HasSuffix(q.Name, ".fifo") {
			attributes["MessageGroupId"], attributes["MessageDeduplicationId"], attributes["SequenceNumber"] = m.group, m.id, strconv.Itoa(i+1)
		}
		records[i] = sqsRecord{
			MessageID: m.id, ReceiptHandle: uuid.NewString(), Body: m.body, Attributes: attributes, MessageAttributes: map[string]string{},
			EventSource: "aws:sqs", EventSourceARN: "arn:aws:sqs:eu-west-1:123456789012:" + q.Name, Region: "eu-west-1",
		}
	}
	text, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		return nil, err
	}
	result, err := q.Runtime.Invoke(ctx, text)
	if err != nil {
		return nil, err
	}
	if failed, err = failuresOf(result, batch); err != nil {
		return nil, err
	}
	q.settle(batch, failed)
	return failed, nil
}

func (q *Queue) batch() []*queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	batch := append([]*queued(nil), q.messages[:min(batchSize, len(q.messages))]...)
	for _, m := range batch {
		m.receives++
	}
	return batch
}

func (q *Queue) settle(batch []*queued, failed []string) {
	taken := map[*queued]bool{}
	for _, m := range batch {
		taken[m] = true
		for _, id := range failed {
			taken[m] = taken[m] && id != m.id
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	left := q.messages[:0]
	for _, m := range q.messages {
		if !taken[m] {
			left = append(left, m)
		}
	}
	q.messages = left
}

var errBatch = errors.New("lambdaruntime: the result says nothing of the batch, which failed as a whole")

// failuresOf reads what the function says of a batch. Saying nothing means that
// all is well; an id that is not of the batch, that nothing is.
func failuresOf(result []byte, batch []*queued) ([]string, error) {
	var out struct {
		BatchItemFailures []struct {
			ItemIdentifier string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(result, &out); err != nil {
		return nil, fmt.Errorf("%w: %w", errBatch, err)
	}
	known := map[string]bool{}
	for _, m := range batch {
		known[m.id] = true
	}
	failed := make([]string, 0, len(out.BatchItemFailures))
	for _, f := range out.BatchItemFailures {
		if !known[f.ItemIdentifier] {
			return nil, fmt.Errorf("%w: %q", errBatch, f.ItemIdentifier)
		}
		failed = append(failed, f.ItemIdentifier)
	}
	return failed, nil
}

// Tick invokes a function as EventBridge does when a schedule is due
// (https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-cron-rate.html),
// once: the service would invoke again what failed.
func Tick(ctx context.Context, r *Runtime, planned time.Time) error {
	text, err := json.Marshal(map[string]any{
		"version": "0", "id": uuid.NewString(), "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
		"time": planned.UTC().Format(time.RFC3339), "region": "eu-west-1",
		"resources": []string{"arn:aws:events:eu-west-1:123456789012:rule/local"}, "detail": map[string]any{},
	})
	if err != nil {
		return err
	}
	_, err = r.Invoke(ctx, text)
	return err
}
