package lambdaruntime_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coditect/platform/shared/standin/lambdaruntime"
)

// TestQueue holds that the queue keeps what failed, and that the adapter and
// the queue agree on what that is.
func TestQueue(t *testing.T) {
	t.Parallel()
	var (
		mu     sync.Mutex
		served = map[string]int{}
		broken = map[string]bool{"b": true}
	)
	q := &lambdaruntime.Queue{Runtime: lambdaruntime.New(time.Minute), Name: "reports"}
	start(t, q.Runtime).serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		served[string(body)]++
		if broken[string(body)] {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	q.Send("a", "")
	failing := q.Send("b", "")
	for range 10 {
		q.Send("c", "")
	}
	for i, c := range []struct{ failed, left int }{{1, 3}, {1, 1}, {1, 1}} {
		failed, err := q.Deliver(t.Context())
		if err != nil || len(failed) != c.failed || failed[0] != failing || q.Len() != c.left {
			t.Errorf("%d: %v %v, %d left", i, failed, err, q.Len())
		}
	}
	mu.Lock()
	broken["b"] = false
	mu.Unlock()
	if failed, err := q.Deliver(t.Context()); err != nil || len(failed) != 0 || q.Len() != 0 || served["b"] != 4 || served["a"] != 1 || served["c"] != 10 {
		t.Errorf("%v %v, %d left, %v", failed, err, q.Len(), served)
	}
}

// TestBatchAsAWhole holds results that say nothing of a batch.
func TestBatchAsAWhole(t *testing.T) {
	t.Parallel()
	for _, result := range []string{`<`, `{"batchItemFailures":[{"itemIdentifier":"x"}]}`, `{"batchItemFailures":[{}]}`, `{"batchItemFailures":[{"itemIdentifier":null}]}`} {
		q := &lambdaruntime.Queue{Runtime: lambdaruntime.New(time.Minute), Name: "reports.fifo"}
		i := start(t, q.Runtime)
		go func() {
			id, _, event, err := i.next(t.Context())
			if err != nil || !strings.Contains(string(event), `"MessageGroupId":"g"`) {
				t.Errorf("%s %v", event, err)
			}
			i.post(t, "invocation/"+id+"/response", []byte(result))
		}()
		q.Send("a", "g")
		if failed, err := q.Deliver(t.Context()); err == nil || q.Len() != 1 {
			t.Errorf("%s: %v, %d left", result, failed, q.Len())
		}
	}
}

func TestTick(t *testing.T) {
	t.Parallel()
	r := lambdaruntime.New(time.Minute)
	at := time.Date(2026, 11, 24, 5, 15, 0, 0, time.UTC)
	status := http.StatusOK
	start(t, r).serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Cloudscheduler-Scheduletime") != "2026-11-24T05:15:00Z" {
			t.Errorf("%v", r.Header)
		}
		w.WriteHeader(status)
	})
	if err := lambdaruntime.Tick(t.Context(), r, at); err != nil {
		t.Error(err)
	}
	status = http.StatusServiceUnavailable
	var fault *lambdaruntime.FunctionError
	if err := lambdaruntime.Tick(t.Context(), r, at); !errors.As(err, &fault) {
		t.Error(err)
	}
}
