package activity

import (
	"math"
	"reflect"
	"testing"

	"github.com/coditect/platform/shared/ids"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for _, c := range []struct {
		name          string
		before, after m
		want          Changes
	}{
		{"nothing", m{"a": 1, "b": []string{"x"}}, m{"a": 1, "b": []string{"x"}}, Changes{}},
		{"changed", m{"a": 1, "b": 2}, m{"a": 1, "b": 3}, Changes{"b": {2, 3}}},
		{"came", m{}, m{"a": nil}, Changes{"a": {nil, nil}}},
		{"went", m{"a": 1}, m{}, Changes{"a": {1, nil}}},
		{"to null", m{"a": 1}, m{"a": nil}, Changes{"a": {1, nil}}},
		{"type", m{"a": 1}, m{"a": int64(1)}, Changes{"a": {1, int64(1)}}},
	} {
		if got := Diff(c.before, c.after); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestEntries(t *testing.T) {
	t.Parallel()
	id := ids.New()
	changes := Changes{"a": {Old: 1, New: 2}}
	for _, c := range []struct {
		got  Entry
		want Entry
	}{
		{Created("Task", id, map[string]any{"a": 1}), Entry{"created", "Task", id, Changes{"a": {nil, 1}}}},
		{Updated("Task", id, changes), Entry{"updated", "Task", id, changes}},
		{Deleted("Task", id, changes), Entry{"deleted", "Task", id, changes}},
		{Restored("Task", id, changes), Entry{"restored", "Task", id, changes}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %+v, want %+v", c.got, c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Changes{
		"{}":                         nil,
		`{"a":{"old":null,"new":1}}`: {"a": {nil, 1}},
		`{"s":{"old":"[hidden]","new":"[hidden]"}}`: {"s": {Hidden, Hidden}},
	} {
		if got, err := c.JSON(); got != want || err != nil {
			t.Errorf("got %s %v, want %s", got, err, want)
		}
	}
	if _, err := (Changes{"a": {nil, math.Inf(1)}}).JSON(); err == nil {
		t.Error("infinity became JSON")
	}
}
