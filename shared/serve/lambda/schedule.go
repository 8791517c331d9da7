package lambda

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/coditect/platform/shared/queue"
)

// headerTime is in which header shared/schedule looks for the time that a call
// was planned for. It is Cloud Scheduler's; one name for both clouds.
const headerTime = "X-Cloudscheduler-Scheduletime"

// serveClock calls a schedule. A rule of EventBridge and a schedule of
// EventBridge Scheduler send the same event, with the planned time, as long as
// no input of one's own replaces it
// (https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-cron-rate.html).
// A call that failed fails the invocation: Lambda makes it again.
func (a adapter) serveClock(ctx context.Context, event events.EventBridgeEvent) (struct{}, error) {
	none := struct{}{}
	if event.DetailType != "Scheduled Event" || event.Source != "aws.events" && event.Source != "aws.scheduler" {
		return none, fmt.Errorf("%w: %q of %q", ErrUnknownEvent, event.DetailType, event.Source)
	}
	if event.Time.IsZero() {
		return none, fmt.Errorf("%w: it names no time that it was planned for", ErrUnknownEvent)
	}
	status := a.call(ctx, queue.Call{}, "{}", http.Header{headerTime: {event.Time.UTC().Format(time.RFC3339Nano)}})
	if !successful(status) {
		return none, fmt.Errorf("lambda: the schedule answered %d", status)
	}
	return none, nil
}
