package router

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
	counters "github.com/coditect/platform/shared/usage"
)

// killed makes the test's program a router that serves one organization until it
// is killed, on the Redis that the variable names, and says after each answer
// how many there were.
const killed = "ROUTER_IS_KILLED_ON"

// TestKilledRouter measures what a router that is killed (SIGKILL) takes along:
// what it answered since its last batch. It is run by itself, in another process.
func TestKilledRouter(t *testing.T) {
	if at := os.Getenv(killed); at != "" {
		serveUntilKilled(t, at)
		return
	}
	t.Parallel()
	address := realRedis(t)
	c := redisClient(t, address)
	total, lost := int64(0), int64(0)
	tenant := ids.New()
	counted := func() int64 {
		found, err := counters.Read(t.Context(), c, tenant, []counters.Day{counters.DayOf(time.Now()) - 1, counters.DayOf(time.Now())})
		if err != nil {
			t.Fatal(err)
		}
		return found[0].N + found[1].N
	}
	for range 2 {
		cmd := exec.CommandContext(context.Background(), os.Args[0], "-test.run=^TestKilledRouter$", "-test.timeout=60s") //nolint:gosec // ourselves
		cmd.Env = append(os.Environ(), killed+"="+address+" "+tenant.String())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before := counted()
		answers := bufio.NewScanner(out)
		next := func() (n int64) {
			for answers.Scan() {
				if text, ok := strings.CutPrefix(answers.Text(), "answered "); ok {
					if n, err = strconv.ParseInt(text, 10, 64); err != nil {
						t.Fatal(err)
					}
					return n
				}
			}
			return -1
		}
		said, seen, batches := int64(0), before, 0
		for batches < 2 { // it counts as it goes
			if said = next(); said < 0 {
				t.Fatal("the router ended by itself")
			}
			if now := counted(); now != seen {
				seen, batches = now, batches+1
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for n := next(); n >= 0; n = next() {
			said = n
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the router ended by itself")
		}
		got := counted() - before
		// One may have been answered, and counted, that nobody heard of.
		if got > said+1 || got < seen-before {
			t.Errorf("%d counted of %d, %d of them before the kill", got, said, seen-before)
		}
		total, lost = total+said, lost+said-got
	}
	t.Logf("%d answered, %d lost in two kills", total, lost)
}

func serveUntilKilled(t *testing.T, at string) {
	t.Helper()
	address, who, _ := strings.Cut(at, " ")
	w := newWorld(t, setting("REDIS_URL", "redis://"+address))
	tenant := ids.Must(who)
	w.functions.limits[tenant] = 1_000_000
	me := w.person(tenant)
	for n := 1; ; n++ {
		if rec := w.do(call{path: "/api/v1/projects/", token: me.token}); rec.Code != http.StatusOK {
			t.Fatalf("%d: %s", rec.Code, rec.Body)
		}
		fmt.Println("answered", n)
	}
}
