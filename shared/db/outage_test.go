package db_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
)

// proxy stands between the product and the pooler and can fail as a network
// does: cut what is open, refuse what is new, or swallow what is said.
type proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return
	}
	p.conns[c], p.conns[up] = true, true
	p.mu.Unlock()
	var wait sync.WaitGroup
	wait.Go(func() { _, _ = io.Copy(up, c); up.Close(); c.Close() })
	wait.Go(func() { _, _ = io.Copy(c, up); up.Close(); c.Close() })
	wait.Wait()
	p.mu.Lock()
	delete(p.conns, c)
	delete(p.conns, up)
	p.mu.Unlock()
}

// cut breaks every open connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// set says whether new connections are refused.
func (p *proxy) set(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.cut()
	}
}

func (f *fixture) behindProxy(t *testing.T, conns int32) (*db.DB, *proxy) {
	t.Helper()
	u, err := url.Parse(f.Database.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host)
	u.Host = p.listener.Addr().String()
	return f.open(t, u.String(), conns, 5*time.Second), p
}

// wantOutage holds what a client hears while the database cannot be reached.
func wantOutage(t *testing.T, what string, err error) {
	t.Helper()
	var e *errs.Error
	if !errors.As(err, &e) || e.Kind != errs.Unavailable || e.RetryAfter <= 0 || e.Detail == "" {
		t.Errorf("%s: %v", what, err)
	}
}

func (f *fixture) read(ctx context.Context, d *db.DB) error {
	return db.Read(ctx, d, f.by, func(tx *db.Tx) error { one(tx); return nil })
}

func (f *fixture) writeOne(ctx context.Context, d *db.DB) error {
	return db.Write(ctx, d, f.by, func(tx *db.Tx) error { add(tx, "x"); return nil })
}

// TestOutage takes the way to the database away and gives it back: nobody has
// to restart anything.
func TestOutage(t *testing.T) {
	f := setup(t)
	d, p := f.behindProxy(t, 2)
	for range 2 {
		if err := f.read(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		p.set(true)
		for range 3 {
			wantOutage(t, "read", f.read(t.Context(), d))
			wantOutage(t, "write", f.writeOne(t.Context(), d))
			wantOutage(t, "ping", d.Ping(t.Context()))
		}
		p.set(false)
		if err := f.writeOne(t.Context(), d); err != nil {
			t.Errorf("the database is back, and a write fails: %v", err)
		}
		if err := d.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := f.rows(t, "projects"); n != 2 {
		t.Errorf("%d rows, want those of the two writes that were answered", n)
	}
}

// TestBrokenIdleConnections cuts connections that lie in the pool, as a restart
// of the pooler does: a read does not notice, and a write never acts twice.
func TestBrokenIdleConnections(t *testing.T) {
	f := setup(t)
	d, p := f.behindProxy(t, 2)
	taken := 0
	for range 5 {
		if err := f.read(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		p.cut()
		if err := f.read(t.Context(), d); err != nil {
			t.Errorf("a read on a broken connection: %v", err)
		}
		p.cut()
		if err := f.writeOne(t.Context(), d); err == nil {
			taken++
		} else {
			wantOutage(t, "a write on a broken connection", err)
			if err := f.writeOne(t.Context(), d); err != nil {
				t.Errorf("the write after it: %v", err)
			}
			taken++
		}
	}
	if n := f.rows(t, "projects"); n != taken {
		t.Errorf("%d rows of %d writes", n, taken)
	}
}

// TestBreakInTheMiddle breaks the connection, and kills the server's process,
// while a transaction is open.
func TestBreakInTheMiddle(t *testing.T) {
	f := setup(t)
	d, p := f.behindProxy(t, 1)
	killer, err := pgx.Connect(t.Context(), f.Database.URL+"&default_query_exec_mode=exec")
	if err != nil {
		t.Fatal(err)
	}
	defer killer.Close(context.Background())
	for name, strike := range map[string]func(pid int){
		"the connection is cut":   func(int) { p.cut() },
		"the process is killed":   func(pid int) { f.kill(t, killer, pid) },
		"both, and the way is no": func(pid int) { f.kill(t, killer, pid); p.set(true) },
	} {
		err := db.Write(t.Context(), d, f.by, func(tx *db.Tx) error {
			add(tx, "x")
			pid, err := db.One(tx, pgx.RowTo[int], `select pg_backend_pid()`).Await(t.Context())
			if err != nil {
				return err
			}
			strike(pid)
			_, err = one(tx).Await(t.Context())
			return err
		})
		wantOutage(t, name, err)
		p.set(false)
		if err := f.read(t.Context(), d); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
		if n := f.rows(t, "projects") + f.rows(t, "activity"); n != 0 {
			t.Errorf("after %s %d rows stayed", name, n)
		}
	}
}

func (f *fixture) kill(t *testing.T, killer *pgx.Conn, pid int) {
	t.Helper()
	if _, err := killer.Exec(t.Context(), `select pg_terminate_backend($1::int)`, pid); err != nil {
		t.Error(err)
	}
	eventually(t, "the process lives on", func() bool {
		var n int
		_ = killer.QueryRow(t.Context(), `select count(*) from pg_stat_activity where pid = $1`, pid).Scan(&n)
		return n == 0
	})
}

// TestNoConnectionFree holds that a request waits for so long and no longer.
func TestNoConnectionFree(t *testing.T) {
	f := setup(t)
	d := f.open(t, f.Database.URL, 1, time.Second)
	if err := d.Ping(t.Context()); err != nil { // dialled already: only the waiting is measured
		t.Fatal(err)
	}
	holding, free := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- db.Read(context.Background(), d, f.by, func(tx *db.Tx) error {
			if _, err := one(tx).Await(context.Background()); err != nil {
				return err
			}
			close(holding)
			<-free
			return nil
		})
	}()
	<-holding
	wantOutage(t, "no connection", f.read(t.Context(), d))
	wantOutage(t, "ping", d.Ping(t.Context()))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := f.read(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("who left while waiting hears %v", err)
	}
	close(free)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := f.read(t.Context(), d); err != nil {
		t.Errorf("the connection is free again: %v", err)
	}
}

// TestCanceled holds that a caller who leaves in the middle of a query leaves
// no transaction open behind, and no lock.
func TestCanceled(t *testing.T) {
	f := setup(t)
	d := f.open(t, f.Database.URL, 1, 5*time.Second)
	for name, begin := range map[string]func() (context.Context, context.CancelFunc){
		"leaves": func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) },
		"out of time": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 300*time.Millisecond)
		},
	} {
		ctx, stop := begin()
		err := db.Write(ctx, d, f.by, func(tx *db.Tx) error {
			add(tx, "x")
			if err := db.Flush(ctx, tx); err != nil {
				return err
			}
			if name == "leaves" {
				time.AfterFunc(100*time.Millisecond, stop)
			}
			db.Exec(tx, `select pg_sleep(60)`)
			return nil
		})
		stop()
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		open := func() int {
			var n *db.Row[int]
			err := db.Lookup(t.Context(), d, func(tx *db.Tx) error {
				n = db.One(tx, pgx.RowTo[int], `select count(*) from pg_stat_activity where datname = current_database() and usename = current_user
					and pid <> pg_backend_pid() and state <> 'idle'`)
				return nil
			})
			v, _ := n.Value()
			if err != nil {
				return -1
			}
			return v
		}
		eventually(t, name+": a transaction is still open", func() bool { return open() == 0 })
		if n := f.rows(t, "projects"); n != 0 {
			t.Errorf("%s: %d rows stayed", name, n)
		}
	}
	// One who left before it began gets no connection into trouble.
	gone, stop := context.WithCancel(t.Context())
	stop()
	if err := f.writeOne(gone, d); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	// One who leaves between two statements: the rollback does not need them.
	ctx, leave := context.WithCancel(t.Context())
	err := db.Write(ctx, d, f.by, func(tx *db.Tx) error {
		add(tx, "x")
		err := db.Flush(ctx, tx)
		leave()
		return errors.Join(err, ctx.Err())
	})
	if !errors.Is(err, context.Canceled) || f.rows(t, "projects") != 0 {
		t.Errorf("err = %v", err)
	}
	if err := f.writeOne(t.Context(), d); err != nil {
		t.Error(err)
	}
}
