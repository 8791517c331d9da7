package exporter_test

import (
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// most is how much an export may hold in memory, in bytes, whatever there is
// to export: the buffers on the way and what the collector has not seen yet.
const most = 48 << 20

// TestMemory holds that memory does not grow with the organization. TASKS
// makes it larger (1000000 takes minutes); the measured figures are in
// docs/exports.md.
func TestMemory(t *testing.T) {
	tasks := 200_000
	if n, err := strconv.Atoi(os.Getenv("TASKS")); err == nil {
		tasks = n
	}
	f := setup(t)
	// Indexes that no export reads are most of what so many inserts cost.
	f.SQL(t, `do $$ declare i text; begin
		for i in select indexname from pg_indexes where schemaname = 'app' and tablename = 'tasks' and indexname not in ('tasks_pkey', 'tasks_project_created_idx') loop
			execute 'drop index app.' || i;
		end loop; end $$`)
	f.addTasks(t, f.owner, f.project, tasks)
	var base runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&base)
	var peak atomic.Uint64
	look := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if now := m.HeapInuse; now > peak.Load() {
			peak.Store(now)
		}
	}
	n := 0
	f.reached = func(string) error {
		if n++; n%20 == 0 {
			look()
		}
		return nil
	}
	id, m := f.begin(t, f.owner, "json")
	started := time.Now()
	if got := f.deliver(t, m); got != "done" {
		t.Fatalf("delivered: %s", got)
	}
	look()
	grown := int64(peak.Load()) - int64(base.HeapInuse) //nolint:gosec // no heap is that large
	j := f.job(t, id)
	t.Logf("%d tasks: %v, heap grew by %.1f MB at most, archive of %.1f MB", tasks, time.Since(started).Round(time.Millisecond), float64(grown)/(1<<20), float64(j.Bytes)/(1<<20))
	if j.Rows < int64(tasks) || grown > most {
		t.Errorf("%d rows with %d bytes", j.Rows, grown)
	}
}
