// Package cron reads the times of schedules as functions/functions.json gives
// them, for the local runner and for what is generated from that file. In
// production Cloud Scheduler keeps the clock.
//
// The parser is that of github.com/netresearch/go-cron, the maintained
// continuation of robfig/cron, held to the five fields that Cloud Scheduler
// takes. Only its parser is used: who calls, and with what, is the runner's.
package cron

import (
	"context"
	"fmt"
	"time"
	_ "time/tzdata" // a machine without the database of time zones counts the same

	"github.com/netresearch/go-cron"
)

// parser takes minute, hour, day of month, month and day of week, and none of
// the library's other forms.
var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

// Schedule says when something runs.
type Schedule struct {
	spec cron.Schedule
	zone *time.Location
}

// Parse reads a cron expression whose times are those of an IANA time zone.
func Parse(expression, zone string) (Schedule, error) {
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		return Schedule{}, fmt.Errorf("%q is no time zone", zone)
	}
	spec, err := parser.Parse(expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("%q is no schedule: %w", expression, err)
	}
	s := Schedule{spec, loc}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("%q never comes", expression)
	}
	return s, nil
}

// Next is the first time after t that the schedule names; zero when there is
// none.
func (s Schedule) Next(t time.Time) time.Time {
	next := s.spec.Next(t.In(s.zone))
	if next.IsZero() {
		return next
	}
	return next.UTC()
}

// LongestGap is the longest time between two runs within the year after from,
// which holds both changes of the clock. What runs less than once a year has
// the gap to its next run.
func (s Schedule) LongestGap(from time.Time) time.Duration {
	end := from.AddDate(1, 0, 0)
	longest := time.Duration(0)
	for last := s.Next(from); last.Before(end) && !last.IsZero(); {
		next := s.Next(last)
		if next.IsZero() {
			break
		}
		longest = max(longest, next.Sub(last))
		last = next
	}
	if longest == 0 {
		longest = s.Next(s.Next(from)).Sub(s.Next(from))
	}
	return longest
}

// Run calls do for every slot that comes, one call at a time, until ctx ends.
// Slots that pass while a call lasts are left out, as the next one finds what is
// due; the first comes after now.
func (s Schedule) Run(ctx context.Context, do func(ctx context.Context, slot time.Time)) {
	for {
		slot := s.Next(time.Now())
		if slot.IsZero() {
			return
		}
		wait := time.NewTimer(time.Until(slot))
		select {
		case <-wait.C:
			do(ctx, slot)
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}
