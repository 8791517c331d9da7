package schedule

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What began too late, and slots that never ran, are an error in the log.
func TestLateness(t *testing.T) {
	t.Parallel()
	slot := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		now, last time.Time
		late      bool
	}{
		"in time":              {slot.Add(time.Second), slot.Add(-24 * time.Hour), false},
		"at the bound":         {slot.Add(10 * time.Minute), slot.Add(-24 * time.Hour), false},
		"too late":             {slot.Add(11 * time.Minute), slot.Add(-24 * time.Hour), true},
		"the first":            {slot, time.Time{}, false},
		"one was missed":       {slot, slot.Add(-48 * time.Hour), true},
		"the last was by hand": {slot, slot.Add(-24*time.Hour - 5*time.Minute), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			b := &Base{plan: Plan{MaxLateness: 10 * time.Minute, LongestGap: 24 * time.Hour}, Log: slog.New(slog.NewTextHandler(&out, nil))}
			b.reportLateness(context.Background(), &Run{Slot: slot, Now: c.now, Last: c.last})
			if got := strings.Contains(out.String(), `level=ERROR msg="schedule late"`); got != c.late {
				t.Errorf("reported %v: %s", got, out.String())
			}
		})
	}
}

func TestSlot(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 3, 0, 0, 7, time.UTC)
	b := &Base{now: func() time.Time { return now }}
	for text, want := range map[string]time.Time{
		"":                            now.Truncate(time.Second),
		"2026-11-24T02:45:00Z":        now.Truncate(time.Hour).Add(-15 * time.Minute),
		"2026-11-24T03:45:00.5+01:00": now.Truncate(time.Hour).Add(-15 * time.Minute),
		"yesterday":                   {},
		"2026-11-25T03:00:00Z":        {},
	} {
		h := http.Header{}
		if text != "" {
			h.Set("X-CloudScheduler-ScheduleTime", text)
		}
		got, err := b.slot(h)
		if !got.Equal(want) || (err == nil) == want.IsZero() {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, p := range Plans() {
		if got, ok := planOf(p.Name); !ok || got != p {
			t.Errorf("%s is not found", p.Name)
		}
	}
}
