// Package runbooks runs what runbooks say: each command of a page, on a platform
// that has the trouble that the page is about.
package runbooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/local/process"
	"github.com/coditect/platform/scripts/local/run"
	"github.com/coditect/platform/scripts/local/state"
	"github.com/coditect/platform/scripts/local/tools"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/dbtest"
	"github.com/coditect/platform/shared/standin/stripe"
)

const root = "../.."

var (
	heading = regexp.MustCompile(`(?m)^## (.+)$`)
	block   = regexp.MustCompile("(?s)\n( *)```sh\n(.*?)\n *```")
)

// section is a part of a page with the commands in it.
type section struct {
	title  string
	blocks []string
}

// sections reads a page. What stands before its first heading has no title.
func sections(text string) (out []section) {
	at := []int{0}
	titles := []string{""}
	for _, m := range heading.FindAllStringSubmatchIndex(text, -1) {
		at, titles = append(at, m[0]), append(titles, text[m[2]:m[3]])
	}
	at = append(at, len(text))
	for i, title := range titles {
		s := section{title: title}
		for _, m := range block.FindAllStringSubmatch(text[at[i]:at[i+1]], -1) {
			s.blocks = append(s.blocks, strings.ReplaceAll("\n"+m[2]+"\n", "\n"+m[1], "\n"))
		}
		out = append(out, s)
	}
	return out
}

// screen is what the platform says.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// world is a platform that runs, with a way behind its back.
type world struct {
	url     string // of the platform
	db      *pgx.Conn
	stripe  *client.API
	environ []string // of commands
	invited int
}

func start(t *testing.T) *world {
	t.Helper()
	functions, err := deployables.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	d := dbtest.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	home, err := state.Open("", filepath.Join(t.TempDir(), "home"))
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{"DATABASE_URL": d.URL, "SYSTEM_DATABASE_URL": d.SystemURL, "MIGRATE_DATABASE_URL": d.OwnerURL}
	vars := map[string]string{"PORT": port, "LOG_LEVEL": "error"}
	maps.Copy(vars, given)
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &screen{}, make(chan error, 1)
	go func() {
		done <- run.Run(ctx, run.Options{Home: home, Tools: tools.Finder{}, Lookup: config.Map(vars), Compose: run.Whole, Functions: functions, Out: out})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	if err := process.Poll(ctx, 60*time.Second, func() bool { return len(done) > 0 || strings.Contains(out.String(), "ready\n") }); err != nil || len(done) > 0 {
		t.Fatalf("not ready: %v\n%s", err, out)
	}
	ports, err := home.Ports()
	if err != nil {
		t.Fatal(err)
	}
	standin := fmt.Sprintf("http://127.0.0.1:%d", ports.Of["Stripe"])
	quiet := slog.New(slog.DiscardHandler)
	w := &world{
		url: "http://127.0.0.1:" + port, db: d.Owner(t),
		stripe: client.New(stripe.Key, &api.Backends{API: api.GetBackendWithConfig(api.APIBackend, &api.BackendConfig{URL: new(standin), LeveledLogger: leveled{quiet}})}),
	}
	w.environ = append(os.Environ(), "CODITECT_HOME="+home.Dir, "PORT="+port, "API_URL="+w.url, "STRIPE_API_URL="+standin, "STRIPE_SECRET_KEY="+stripe.Key)
	for name, value := range given {
		w.environ = append(w.environ, name+"="+value)
	}
	return w
}

type leveled struct{ *slog.Logger }

func (leveled) Debugf(string, ...any) {}
func (leveled) Infof(string, ...any)  {}
func (leveled) Warnf(string, ...any)  {}
func (leveled) Errorf(string, ...any) {}

// ask sends a request and decodes the answer.
func (w *world) ask(t *testing.T, method, path, token string, body any) (int, map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(answer, &out); err != nil && len(answer) > 0 {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	return resp.StatusCode, out
}

func (w *world) sql(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%v: %s", err, sql)
	}
}

func (w *world) text(t *testing.T, sql string, args ...any) (text string) {
	t.Helper()
	if err := w.db.QueryRow(t.Context(), sql, args...).Scan(&text); err != nil {
		t.Fatalf("%v: %s", err, sql)
	}
	return text
}

// eventually waits for something to become true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	if err := process.Poll(t.Context(), 90*time.Second, is); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// payer is an organization that is subscribed to pro.
type payer struct{ org, id, token, customer, subscription string }

func (w *world) payer(t *testing.T, org string) payer {
	t.Helper()
	status, made := w.ask(t, http.MethodPost, "/api/v1/auth/register/", "", map[string]any{
		"email": org + "@example.com", "password": "difference-engine-2", "first_name": "Ada", "last_name": "Lovelace", "organization_name": org, "subdomain": org,
	})
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, made)
	}
	p := payer{org: org}
	p.token, _ = made["access_token"].(string)
	if status, got := w.ask(t, http.MethodPost, "/api/v1/billing/subscribe/", p.token, map[string]any{"plan": "pro", "interval": "month", "payment_method_id": "pm_card_visa"}); status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	const of = ` from app.organizations o join app.subscriptions s on s.tenant_id = o.tenant_id where o.subdomain = $1`
	p.id, p.customer, p.subscription = w.text(t, `select o.tenant_id::text`+of, org), w.text(t, `select s.stripe_customer_id`+of, org), w.text(t, `select s.stripe_subscription_id`+of, org)
	eventually(t, "the webhooks come", func() bool {
		return w.text(t, `select count(*)::text from app.stripe_events where customer_id = $1 and type = 'invoice.payment_succeeded' and status = 'processed'`, p.customer) == "1"
	})
	w.settled(t, p)
	return p
}

// settled waits until no message about the organization's customer waits. An
// invitation leaves a message of its own, of which the relay is told.
func (w *world) settled(t *testing.T, p payer) {
	t.Helper()
	w.invited++
	invitation := map[string]any{"email": fmt.Sprintf("guest%d@example.com", w.invited), "role": "viewer"}
	if status, got := w.ask(t, http.MethodPost, "/api/v1/users/invite/", p.token, invitation); status != http.StatusCreated {
		t.Fatalf("%d %v", status, got)
	}
	eventually(t, "messages are done", func() bool {
		return w.text(t, `select count(*)::text from app.outbox where tenant_id = $1 and kind like 'billing.%' and done_at is null and dead_at is null`, p.id) == "0" &&
			w.text(t, `select count(*)::text from app.stripe_events where customer_id = $1 and status = 'received'`, p.customer) == "0"
	})
}

// forget loses what was known of the subscription, as if no event had come.
func (w *world) forget(t *testing.T, p payer) {
	t.Helper()
	w.sql(t, `update app.subscriptions set stripe_subscription_id = null, plan = 'free', current_period_end = null where tenant_id = $1`, p.id)
	w.sql(t, `update app.organizations set plan = 'free' where tenant_id = $1`, p.id)
}

func (w *world) plan(t *testing.T, p payer) string {
	t.Helper()
	return w.text(t, `select o.plan || ' ' || s.plan || ' ' || s.status from app.organizations o join app.subscriptions s on s.tenant_id = o.tenant_id where o.tenant_id = $1`, p.id)
}

// trouble is what a section of the page is about.
type trouble struct {
	// vars are what the page's commands are told besides ORG.
	vars map[string]string
	// says is what each block must say, in this order.
	says [][]string
	// after is called after each block.
	after func(t *testing.T, block int)
	// mended looks whether it is.
	mended func(t *testing.T)
}

// TestBillingRunbook runs every command of docs/runbooks/billing.md: each
// section has its trouble here, and each is gone at its end.
func TestBillingRunbook(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "docs", "runbooks", "billing.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := sections(string(raw))
	w := start(t)
	troubles := map[string]func(t *testing.T, p payer) trouble{
		"": func(*testing.T, payer) trouble {
			return trouble{says: [][]string{{"on the plan pro", "Stripe has the same."}}}
		},
		"A customer paid and is still on free": func(t *testing.T, p payer) trouble {
			t.Helper()
			w.forget(t, p)
			return trouble{
				says: [][]string{{"on the plan free", "subscription: none here, " + p.subscription + " there"}, {"will be looked at"}, {"on the plan pro", "Stripe has the same."}, {"was pro, is pro"}},
				mended: func(t *testing.T) {
					t.Helper()
					if got := w.plan(t, p); got != "pro pro active" {
						t.Errorf("stands at %s", got)
					}
				},
			}
		},
		"The webhook fails": func(t *testing.T, p payer) trouble {
			t.Helper()
			w.forget(t, p)
			return trouble{
				says: [][]string{{"400\n"}, {"would create the webhook endpoint"}, {"will be looked at"}},
				mended: func(t *testing.T) {
					t.Helper()
					if got := w.plan(t, p); got != "pro pro active" {
						t.Errorf("stands at %s", got)
					}
				},
			}
		},
		"Replay an event, or a dead letter": func(t *testing.T, p payer) trouble {
			t.Helper()
			w.forget(t, p)
			event := w.text(t, `select event_id from app.stripe_events where customer_id = $1 and type = 'invoice.payment_succeeded'`, p.customer)
			w.sql(t, `update app.stripe_events set status = 'failed', last_error = 'it broke' where event_id = $1`, event)
			dead := func() string {
				return w.text(t, `insert into app.outbox (tenant_id, id, kind, key, payload, dead_at, last_error, attempts)
					values ($1, gen_random_uuid(), 'billing.event', $2, jsonb_build_object('event_id', $3::text), now(), 'it broke', 12) returning id::text`, p.id, p.customer, event)
			}
			first, second := dead(), ""
			vars := map[string]string{"EVENT": event}
			return trouble{
				vars: vars,
				says: [][]string{{event + " is due again"}, {"it broke", "1 messages are due again", "1 messages are due again"}, {"processed", "Stripe has the same."}},
				after: func(t *testing.T, block int) {
					t.Helper()
					if block > 0 {
						return
					}
					if got := w.plan(t, p); got != "pro pro active" || w.text(t, `select status from app.stripe_events where event_id = $1`, event) != "processed" ||
						w.text(t, `select (done_at is not null)::text from app.outbox where id = $1`, first) != "true" {
						t.Errorf("stands at %s, and its message is not done", got)
					}
					second = dead()
					vars["MESSAGE"] = second
					dead()
				},
				mended: func(t *testing.T) {
					t.Helper()
					if n := w.text(t, `select count(*)::text from app.outbox where tenant_id = $1 and done_at is null and dead_at is not null`, p.id); n != "0" || second == "" {
						t.Errorf("%s dead letters are left", n)
					}
				},
			}
		},
		"The subscription differs from Stripe": func(t *testing.T, p payer) trouble {
			t.Helper()
			w.sql(t, `update app.subscriptions set cancel_at_period_end = true, status = 'past_due', past_due_since = now() where tenant_id = $1`, p.id)
			return trouble{
				says: [][]string{{"Stripe differs:", "status: past_due here, active there", "ends with the period: true here, false there", "will be looked at"}, {"Stripe has the same."}},
				mended: func(t *testing.T) {
					t.Helper()
					if got := w.plan(t, p); got != "pro pro active" {
						t.Errorf("stands at %s", got)
					}
				},
			}
		},
		"A refund": func(_ *testing.T, p payer) trouble {
			return trouble{
				says: [][]string{{"29.00 usd", "in_"}, {"will be looked at"}, {"on the plan free", "canceled", "29.00 usd"}},
				after: func(t *testing.T, block int) {
					t.Helper()
					if block > 0 {
						return
					}
					if _, err := w.stripe.Subscriptions.Cancel(p.subscription, nil); err != nil { // the dashboard's "immediately"
						t.Fatal(err)
					}
				},
				mended: func(t *testing.T) {
					t.Helper()
					if got := w.plan(t, p); got != "free pro canceled" {
						t.Errorf("stands at %s", got)
					}
				},
			}
		},
		"The customer is unknown": func(t *testing.T, _ payer) trouble {
			t.Helper()
			stranger, err := w.stripe.Customers.New(&api.CustomerParams{})
			if err != nil {
				t.Fatal(err)
			}
			w.sql(t, `insert into app.stripe_events (event_id, type, customer_id, payload, status, last_error, created_at) values ('evt_stranger', 'invoice.payment_succeeded', $1, '{}', 'failed', 'nobody claimed the customer', now())`, stranger.ID)
			return trouble{
				vars: map[string]string{"CUSTOMER": stranger.ID, "EVENT": "evt_stranger"},
				says: [][]string{{"nobody's customer here", "names no organization", "nobody claimed the customer"}, {"evt_stranger waits"}},
				mended: func(t *testing.T) {
					t.Helper()
					if got := w.text(t, `select status from app.stripe_events where event_id = 'evt_stranger'`); got != "received" {
						t.Errorf("the event is %s", got)
					}
				},
			}
		},
		"Stuck on billing_busy": func(t *testing.T, p payer) trouble {
			t.Helper()
			w.sql(t, `update app.subscriptions set busy_key = 'of one that died', busy_until = now() + interval '1 minute' where tenant_id = $1`, p.id)
			if status, got := w.ask(t, http.MethodPost, "/api/v1/billing/cancel/", p.token, nil); status != http.StatusConflict || got["code"] != "billing_busy" {
				t.Fatalf("%d %v", status, got)
			}
			return trouble{
				says: [][]string{{"busy until"}, {"will be looked at"}},
				mended: func(t *testing.T) {
					t.Helper()
					w.sql(t, `update app.subscriptions set busy_until = now() where tenant_id = $1`, p.id) // the minute is over
					if status, got := w.ask(t, http.MethodPost, "/api/v1/billing/cancel/", p.token, nil); status != http.StatusOK {
						t.Errorf("%d %v", status, got)
					}
				},
			}
		},
	}
	ran := 0
	for i, s := range page {
		t.Run("section "+s.title, func(t *testing.T) {
			begin, known := troubles[s.title]
			if !known {
				t.Fatalf("nothing here runs the %d commands of %q", len(s.blocks), s.title)
			}
			p := w.payer(t, fmt.Sprintf("payer%d", i))
			tr := begin(t, p)
			if len(tr.says) != len(s.blocks) {
				t.Fatalf("%d blocks of commands, and %d are expected", len(s.blocks), len(tr.says))
			}
			for n, script := range s.blocks {
				said := w.execute(t, script, p, tr.vars)
				for _, want := range tr.says[n] {
					if !strings.Contains(said, want) {
						t.Errorf("%s\nlacks %q:\n%s", script, want, said)
					}
				}
				ran++
				w.settled(t, p)
				if tr.after != nil {
					tr.after(t, n)
				}
			}
			if tr.mended != nil {
				tr.mended(t)
			}
		})
	}
	if all := strings.Count(string(raw), "```sh\n"); ran != all || len(troubles) != len(page) {
		t.Errorf("%d of %d blocks ran, in %d sections of %d", ran, all, len(page), len(troubles))
	}
}

// execute runs a block as a person would, from the checkout. Its last command
// must have been reached.
func (w *world) execute(t *testing.T, script string, p payer, vars map[string]string) string {
	t.Helper()
	const end = "-- that was all --"
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script+"\necho '"+end+"'")
	cmd.Dir, cmd.Env = root, append(slices.Clone(w.environ), "ORG="+p.org, "MAKEFLAGS=") // not those of `make test`
	for name, value := range vars {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), end) {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// TestBillingOnALaptop does what docs/BILLING.md has a newcomer do after
// `make run`, in one shell, as they would.
func TestBillingOnALaptop(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "docs", "BILLING.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := sections(string(raw))
	i := slices.IndexFunc(page, func(s section) bool { return s.title == "On a laptop" })
	if i < 0 || len(page[i].blocks) != 4 || strings.TrimSpace(page[i].blocks[0]) != "make run" {
		t.Fatalf("the page has no such part: %q", page)
	}
	w := start(t)
	script := strings.ReplaceAll(strings.Join(page[i].blocks[1:], "\n"), "http://127.0.0.1:8080", w.url)
	said := w.execute(t, script, payer{}, nil)
	for _, want := range []string{`"status":"added"`, `"plan":"pro"`, `"amount_paid":2900`, `"cancel_at_period_end":true`, `"cancel_at_period_end":false`, `"plan":"enterprise"`, "Stripe has the same.", `"last4":"4242"`} {
		if !strings.Contains(said, want) {
			t.Errorf("lacks %s:\n%s", want, said)
		}
	}
	if n := w.text(t, `select count(*)::text from app.stripe_events where type = 'customer.subscription.created' and status in ('received', 'processed')`); n == "0" {
		t.Error("no webhook came")
	}
	// The bank was answered: the card is there as soon as its event is done.
	eventually(t, "the card that was asked about", func() bool {
		return w.text(t, `select count(*)::text from app.payment_methods where last4 = '3184'`) == "1"
	})
}

// Without a key, or with one that is not of test mode, make test-stripe says so
// and does nothing.
func TestStripeAsksForAKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"": "STRIPE_SECRET_KEY is not set", "sk_live_1": "no key of test mode", "pk_test_1": "no key of test mode"} {
		cmd := exec.CommandContext(t.Context(), "bash", "scripts/test-stripe.sh")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "STRIPE_SECRET_KEY="+key, "STRIPE_API_URL=http://127.0.0.1:1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), want) || key != "" && strings.Contains(string(out), key) {
			t.Errorf("%q: %v, %s", key, err, out)
		}
	}
}

func TestSections(t *testing.T) {
	t.Parallel()
	got := sections("# T\n\n```sh\na\n```\n\n## One\n\n1. x\n\n   ```sh\n   b\n   c\n   ```\n\n```text\nd\n```\n\n## Two\n")
	if len(got) != 3 || got[0].title != "" || got[1].title != "One" || len(got[0].blocks) != 1 || len(got[1].blocks) != 1 || len(got[2].blocks) != 0 || got[1].blocks[0] != "\nb\nc\n" {
		t.Errorf("%q", got)
	}
}
