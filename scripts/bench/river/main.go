// Command river does the benchmark's job with River
// (https://riverqueue.com), a queue in PostgreSQL for programs in Go, so that
// the platform's own path can be measured beside it. It is a module of its own,
// outside the workspace: none of what River needs enters the product.
//
//	river work                     works jobs off, and tells on PORT when each was committed
//	river load SECONDS CALLERS RATE  leaves jobs, RATE a second or as fast as they go (0),
//	                               and prints when each was committed
//
// Both are given DATABASE_URL, PostgreSQL itself: River listens to
// notifications (LISTEN), which a pooler in transaction mode does not pass on.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// concurrency is as many jobs at a time as the platform's worker is given.
const concurrency = 64

type args struct {
	ID     string `json:"id"`
	Tenant string `json:"tenant_id"`
}

func (args) Kind() string { return "bench_job" }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return errors.New("work or load?")
	}
	cfg, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	cfg.MaxConns = 16
	if words[0] == "load" && len(words) == 4 {
		cfg.MaxConns = 32
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	switch {
	case words[0] == "work":
		return work(ctx, pool)
	case words[0] == "load" && len(words) == 4:
		seconds, err1 := strconv.ParseFloat(words[1], 64)
		callers, err2 := strconv.Atoi(words[2])
		rate, err3 := strconv.ParseFloat(words[3], 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
		return load(ctx, pool, time.Duration(seconds*float64(time.Second)), callers, rate)
	}
	return fmt.Errorf("%q is not understood", words)
}

// worker writes its row and completes the job in one transaction: the effect
// happens once, as the platform's does.
type worker struct {
	river.WorkerDefaults[args]
	pool *pgxpool.Pool
	done *done
}

func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into bench.effects (id, tenant_id) values ($1, $2)`, job.Args.ID, job.Args.Tenant); err != nil {
			return err
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err == nil {
		w.done.add(job.Args.ID)
	}
	return err
}

func work(ctx context.Context, pool *pgxpool.Pool) error {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	var did done
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{pool: pool, done: &did})
	client, err := river.NewClient(driver, &river.Config{
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Workers: workers,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}},
		// As in River's own benchmark: by default it rests for 100 ms after it
		// fetched, and would do 640 jobs a second at most.
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: &did, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(patience), client.StopAndCancel(patience))
}

// load leaves jobs, each with a row of its own in one transaction.
func load(ctx context.Context, pool *pgxpool.Pool, length time.Duration, callers int, rate float64) error {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		return err
	}
	var tenants []string
	scan := bufio.NewScanner(os.Stdin)
	for scan.Scan() {
		tenants = append(tenants, scan.Text())
	}
	if len(tenants) == 0 {
		return errors.New("no tenants on standard input")
	}
	var (
		did    done
		all    sync.WaitGroup
		mu     sync.Mutex
		faults []error
		begun  = time.Now()
	)
	for caller := range callers {
		all.Go(func() {
			for i := caller; time.Since(begun) < length && ctx.Err() == nil; i += callers {
				if rate > 0 {
					due := begun.Add(time.Duration(float64(i) / rate * float64(time.Second)))
					if due.Sub(begun) >= length {
						return
					}
					time.Sleep(time.Until(due))
				}
				a := args{Tenant: tenants[i%len(tenants)]}
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					if err := tx.QueryRow(ctx, `insert into bench.orders (tenant_id) values ($1) returning id::text`, a.Tenant).Scan(&a.ID); err != nil {
						return err
					}
					_, err := client.InsertTx(ctx, tx, a, nil)
					return err
				})
				if err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
					return
				}
				did.add(a.ID)
			}
		})
	}
	all.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	_, err = os.Stdout.Write(did.text.Bytes())
	return err
}

// done remembers when jobs were committed; a request takes what is new of it.
type done struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *done) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(&d.text, "%s %d\n", id, time.Now().UnixNano())
}

func (d *done) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	text := bytes.Clone(d.text.Bytes())
	d.text.Reset()
	d.mu.Unlock()
	_, _ = w.Write(text)
}
