package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/scripts/bench/peer"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
)

// The processes of a run are this program in other roles.
func TestMain(m *testing.M) {
	if code, played := peer.Main(os.Args); played {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestQuick runs the whole of it on little data: every line is measured, and
// every answer is what it should be. No figure is looked at.
func TestQuick(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // The database's account must reach it.
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home, err := state.Open("", filepath.Join(dir, "home"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := Default().Quick()
	o.Length, o.Warm, o.Own, o.Self, o.Home, o.Out = 150*time.Millisecond, 20*time.Millisecond, true, self, home, &out
	o.Root, o.Command = dir, "make bench"
	if o.HTTPOnly, err = filepath.Abs("httponly"); err != nil {
		t.Fatal(err)
	}
	o.Document = filepath.Join(dir, "benchmarks.md")
	o.Tools = tools.Finder{PGBin: os.Getenv("PG_BIN"), PgBouncer: os.Getenv("PGBOUNCER_BIN"), Unpacked: os.Getenv("CODITECT_TOOLS")}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if len(r.Lines) != len(lines)+len(noisyPlans)+1 || len(r.Trips) != len(lines)-1 || len(r.Starts) != len(needed)+2 {
		t.Errorf("%d lines, %d round trips, %d starts", len(r.Lines), len(r.Trips), len(r.Starts))
	}
	for i, l := range lines {
		for _, c := range l.contenders {
			if len(r.Lines[i].Rounds[c.name]) != 1 || r.Lines[i].PerSecond(c.name) <= 0 {
				t.Errorf("%s of %s was not measured", c.name, l.name)
			}
		}
		for _, name := range l.latencies {
			if len(r.Lines[i].Latency[name]) != 1 || r.Lines[i].Latency[name][0].P99 <= 0 {
				t.Errorf("latency of %s of %s was not measured", name, l.name)
			}
		}
	}
	background(t, r)
	for i, plan := range noisyPlans {
		l := r.line(fairOn(plan))
		if l == nil || len(r.Noise) <= i || r.Noise[i].Plan != plan || r.Noise[i].Asked == 0 {
			t.Fatalf("fairness beside %s was not measured: %+v", plan, r.Noise)
		}
		if len(l.Latency[beside]) != len(l.Latency[calm]) || len(l.Latency[within]) != len(l.Latency[calm]) || l.Latency[beside][0].P99 <= 0 || r.Noise[i].Refused == 0 || r.Noise[i].Asked > r.Noise[i].Due {
			t.Errorf("fairness beside %s: %+v", plan, l.Latency)
		}
	}
	page, err := os.ReadFile(o.Document)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		for where, text := range map[string]string{"table": out.String(), "page": string(page)} {
			if !strings.Contains(text, l.title) {
				t.Errorf("the %s lacks %s", where, l.name)
			}
		}
	}
	statements(t, home)
}

// background looks at what was measured of jobs. River is not built here: it is
// not part of the product, and its module may have to be downloaded.
func background(t *testing.T, r *Report) {
	t.Helper()
	l := r.line(jobsLine)
	if l == nil || len(l.Rounds[ours]) != 1 || l.PerSecond(ours) <= 0 || len(l.Latency[ours]) != 1 || l.Latency[ours][0].P50 <= 0 || len(l.Rounds[river]) != 0 {
		t.Errorf("jobs were measured as %+v", l)
	}
	j := r.Jobs
	if j == nil || j.Few.Done < j.Few.Queued || j.Many.Done < j.Few.Queued || j.Many.Took <= 0 || len(j.Others) != 10 || j.Others[0] <= 0 {
		t.Errorf("what waits was measured as %+v", j)
	}
}

// statements looks at what was recorded: a transaction of a tenant, with the
// activity where something is created, and nothing of this run's in it.
func statements(t *testing.T, home state.Home) {
	t.Helper()
	text, err := os.ReadFile(home.Path("exchanges.json"))
	if err != nil {
		t.Fatal(err)
	}
	var does peer.Exchanges
	if err := json.Unmarshal(text, &does); err != nil {
		t.Fatal(err)
	}
	for _, e := range []struct {
		name string
		sql  string
		of   interface {
			Script(func(string) string, map[string]string) string
		}
	}{{"list", "from app.tasks", does.List}, {"get", "from app.tasks", does.Get}, {"create", "insert into app.activity", does.Create}} {
		script := e.of.Script(func(name string) string { return name }, map[string]string{})
		for _, want := range []string{"\nbegin", "select app.set_tenant(:tenant);", e.sql, "\ncommit;\n\\endpipeline"} {
			if !strings.Contains(script, want) {
				t.Errorf("%s lacks %q:\n%s", e.name, want, script)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"an unknown line": func(o *Options) { o.Only = []string{"lists"} },
		"no connections":  func(o *Options) { o.Conns = 0 },
		"no rounds":       func(o *Options) { o.Rounds = 0 },
		"no time":         func(o *Options) { o.Length = 0 },
	} {
		o := Default()
		change(&o)
		if _, err := Run(context.Background(), o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
