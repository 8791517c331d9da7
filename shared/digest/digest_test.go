package digest

import (
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestTrapT27DaysBeginWherePeopleAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ zone, after, want string }{
		"before eight":              {"UTC", "2026-11-24T07:59:59Z", "2026-11-24T08:00:00Z"},
		"at eight":                  {"UTC", "2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z"},
		"a zone that is none":       {"Mars/Olympus", "2026-11-24T09:00:00Z", "2026-11-25T08:00:00Z"},
		"east of here":              {"Asia/Tokyo", "2026-11-24T05:00:00Z", "2026-11-24T23:00:00Z"},
		"west of here":              {"America/Los_Angeles", "2026-11-24T05:00:00Z", "2026-11-24T16:00:00Z"},
		"a quarter of an hour":      {"Asia/Kathmandu", "2026-11-24T05:00:00Z", "2026-11-25T02:15:00Z"},
		"the farthest east":         {"Pacific/Kiritimati", "2026-11-24T05:00:00Z", "2026-11-24T18:00:00Z"},
		"the farthest west":         {"Pacific/Niue", "2026-11-24T05:00:00Z", "2026-11-24T19:00:00Z"},
		"the day of spring":         {"Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T06:00:00Z"},
		"the day of autumn":         {"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T07:00:00Z"},
		"half an hour, forward":     {"Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T21:00:00Z"},
		"half an hour, back":        {"Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-04T21:30:00Z"},
		"midnight is left out":      {"America/Sao_Paulo", "2018-11-03T20:00:00Z", "2018-11-04T10:00:00Z"},
		"midnight comes twice":      {"America/Sao_Paulo", "2018-02-17T20:00:00Z", "2018-02-18T11:00:00Z"},
		"a day that does not exist": {"Pacific/Apia", "2011-12-29T18:30:00Z", "2011-12-30T18:00:00Z"},
		"the day before it":         {"Pacific/Apia", "2011-12-29T17:00:00Z", "2011-12-29T18:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Next(at(t, c.after), c.zone); !got.Equal(at(t, c.want)) {
				t.Errorf("next is %s, want %s", got.Format(time.RFC3339), c.want)
			}
		})
	}
}

// No zone changes its clock at eight today; the rule holds for any hour.
func TestClocksThatChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		zone  string
		clock clock
		day   string
		want  string // empty: the day has none
	}{
		"left out by an hour":         {"Europe/Berlin", clock{2, 30}, "2026-03-29", "2026-03-29T01:00:00Z"},
		"left out at its very start":  {"Europe/Berlin", clock{2, 0}, "2026-03-29", "2026-03-29T01:00:00Z"},
		"just after what is left out": {"Europe/Berlin", clock{3, 0}, "2026-03-29", "2026-03-29T01:00:00Z"},
		"shown twice":                 {"Europe/Berlin", clock{2, 30}, "2026-10-25", "2026-10-25T00:30:00Z"},
		"left out by half an hour":    {"Australia/Lord_Howe", clock{2, 15}, "2026-10-04", "2026-10-03T15:30:00Z"},
		"shown twice in half an hour": {"Australia/Lord_Howe", clock{1, 45}, "2026-04-05", "2026-04-04T14:45:00Z"},
		"midnight left out":           {"America/Sao_Paulo", clock{0, 0}, "2018-11-04", "2018-11-04T03:00:00Z"},
		"after midnight left out":     {"America/Sao_Paulo", clock{0, 30}, "2018-11-04", "2018-11-04T03:00:00Z"},
		"the last hour, shown twice":  {"America/Sao_Paulo", clock{23, 30}, "2018-02-17", "2018-02-18T01:30:00Z"},
		"no such day":                 {"Pacific/Apia", clock{8, 0}, "2011-12-30", ""},
		"no such midnight":            {"Pacific/Apia", clock{0, 0}, "2011-12-30", ""},
		"after it":                    {"Pacific/Apia", clock{0, 0}, "2011-12-31", "2011-12-30T10:00:00Z"},
		"the end of a day left out":   {"Asia/Pyongyang", clock{23, 45}, "2018-05-04", ""},
		"a zone without changes":      {"UTC", clock{8, 0}, "2026-03-29", "2026-03-29T08:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := due(at(t, c.day+"T00:00:00Z"), Location(c.zone), c.clock)
			if ok != (c.want != "") || ok && !got.Equal(at(t, c.want)) {
				t.Errorf("due %s, %v; want %q", got.UTC().Format(time.RFC3339), ok, c.want)
			}
		})
	}
}

// Through every hour of years with all kinds of changes: due times go up, each
// day has one at most, and Day names the one that was due last.
func TestEveryDayOnce(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{
		"UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu",
		"Africa/Casablanca", "Asia/Gaza", "Pacific/Kiritimati", "America/Caracas", "Asia/Pyongyang", "Europe/Volgograd",
	} {
		for _, c := range []clock{{Hour, 0}, {0, 0}, {2, 15}, {23, 45}} {
			loc := Location(zone)
			end := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
			last := next(time.Date(2009, 12, 31, 0, 0, 0, 0, time.UTC), loc, c)
			for last.Before(end) {
				then := next(last, loc, c)
				gap := then.Sub(last)
				endLeftOut := zone == "Asia/Pyongyang" && c.hour == 23 // of 4 May 2018, see above
				if gap < 22*time.Hour || gap > 26*time.Hour && !endLeftOut {
					t.Errorf("%s %v: %s after %s", zone, c, then.In(loc), last.In(loc))
				}
				if h, m, _ := then.In(loc).Clock(); clock64(h, m) < clock64(c.hour, c.minute) {
					t.Errorf("%s %v: due at %s", zone, c, then.In(loc))
				}
				today := then.In(loc).Format(time.DateOnly)
				if got := day(then, loc, c); got != today {
					t.Errorf("%s %v: at %s the day is %s", zone, c, then.In(loc), got)
				}
				if got := day(then.Add(-time.Second), loc, c); got >= today {
					t.Errorf("%s %v: before %s the day is %s", zone, c, then.In(loc), got)
				}
				last = then
			}
		}
	}
}

func clock64(h, m int) int { return h*60 + m }

func TestID(t *testing.T) {
	t.Parallel()
	a, b := ids.New(), ids.New()
	same := ID(a, b, "2026-11-24")
	if same != ID(a, b, "2026-11-24") || same.Version() != 5 {
		t.Errorf("%s is not the id of its names", same)
	}
	for _, other := range []ids.ID{ID(b, a, "2026-11-24"), ID(a, a, "2026-11-24"), ID(a, b, "2026-11-25")} {
		if other == same {
			t.Errorf("%s twice", other)
		}
	}
	if Day(time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC), "UTC") != "2026-11-23" || Location("Local") != time.UTC {
		t.Error("the day before eight is the day before")
	}
}
