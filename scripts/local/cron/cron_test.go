package cron

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ expression, zone, after, want string }{
		"every 15 minutes":     {"*/15 * * * *", "UTC", "2026-11-24T05:14:59Z", "2026-11-24T05:15:00Z"},
		"strictly after":       {"*/15 * * * *", "UTC", "2026-11-24T05:15:00Z", "2026-11-24T05:30:00Z"},
		"nightly":              {"20 3 * * *", "UTC", "2026-11-24T03:20:00Z", "2026-11-25T03:20:00Z"},
		"mondays":              {"0 4 * * MON", "UTC", "2026-11-24T00:00:00Z", "2026-11-30T04:00:00Z"},
		"of a zone":            {"0 8 * * *", "Europe/Berlin", "2026-11-24T07:30:00Z", "2026-11-25T07:00:00Z"},
		"a zone in summer":     {"0 8 * * *", "Europe/Berlin", "2026-06-24T07:30:00Z", "2026-06-25T06:00:00Z"},
		"an hour left out":     {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		"an hour that repeats": {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		"the 31st":             {"0 0 31 * *", "UTC", "2026-02-01T00:00:00Z", "2026-03-31T00:00:00Z"},
		"leap days":            {"0 0 29 2 *", "UTC", "2026-02-01T00:00:00Z", "2028-02-29T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := Parse(c.expression, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Next(at(t, c.after)); !got.Equal(at(t, c.want)) {
				t.Errorf("next is %s, want %s", got, c.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"", "UTC", "no schedule"}, {"* * * *", "UTC", "no schedule"}, {"60 * * * *", "UTC", "no schedule"}, {"@daily", "UTC", "no schedule"},
		{"0 0 * * * *", "UTC", "no schedule"}, {"0 0 31 2 *", "UTC", "never"}, {"0 8 * * *", "Mars/Olympus", "no time zone"},
		{"0 8 * * *", "", "no time zone"}, {"0 8 * * *", "Local", "no time zone"},
	} {
		if _, err := Parse(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%q in %q: %v, want one that says %q", c[0], c[1], err, c[2])
		}
	}
}

func TestLongestGap(t *testing.T) {
	t.Parallel()
	for expression, want := range map[[2]string]time.Duration{
		{"*/15 * * * *", "UTC"}:        15 * time.Minute,
		{"20 3 * * *", "UTC"}:          24 * time.Hour,
		{"20 3 * * *", "Europe/Paris"}: 25 * time.Hour,
		{"0 0 1 * *", "UTC"}:           31 * 24 * time.Hour,
		{"0 0 29 2 *", "UTC"}:          (4*365 + 1) * 24 * time.Hour,
	} {
		s, err := Parse(expression[0], expression[1])
		if err != nil {
			t.Fatal(err)
		}
		if got := s.LongestGap(at(t, "2026-01-01T00:00:00Z")); got != want {
			t.Errorf("%v: %s, want %s", expression, got, want)
		}
	}
}

// A call that lasts longer than a slot leaves out what passes meanwhile.
func TestRun(t *testing.T) {
	t.Parallel()
	s, err := Parse("*/10 * * * *", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // its clock begins at 2000-01-01T00:00:00Z
		ctx, stop := context.WithCancel(t.Context())
		var slots []string
		s.Run(ctx, func(_ context.Context, slot time.Time) {
			slots = append(slots, slot.Format(time.TimeOnly))
			switch len(slots) {
			case 1:
				<-time.After(25 * time.Minute)
			case 3:
				stop()
			}
		})
		if got := strings.Join(slots, " "); got != "00:10:00 00:40:00 00:50:00" {
			t.Errorf("ran for %s", got)
		}
	})
}
