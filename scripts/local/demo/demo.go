// Package demo fills a running platform with a demonstration organization:
// people in several roles, projects and tasks. All of it goes through the
// public API: people are invited and come by the link in their mail, which is
// read from the mailbox of `make run`. Two things the operator's command does:
// the plan, which would cost money, and, on a platform that has no such mailbox,
// the memberships.
//
// It may be run again at any time: it reads what is there and adds what is
// missing, and its idempotency keys keep a request that was answered to nobody
// from counting twice. Change what is made in content.go.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"text/tabwriter"
	"time"
)

// Options say what to fill, and with how much.
type Options struct {
	URL string // of the platform, without a path
	// Operator carries out a `tenant` command.
	Operator func(ctx context.Context, words ...string) error
	Projects int
	Tasks    int // of all projects together
	Workers  int // requests at once
	Out      io.Writer
	Terminal bool // whether Out can redraw a line
}

// Reachable says in a sentence for a person when no platform answers at url.
func Reachable(ctx context.Context, url string) error {
	c := newClient(url)
	defer c.close()
	if _, err := c.once(ctx, call{method: http.MethodGet, path: "/health/"}); err != nil {
		return fmt.Errorf("no healthy platform answers at %s: start it with `make run`, or say where it is with PORT or CODITECT_URL (%w)", url, err)
	}
	return nil
}

// Run fills the organization until ctx ends.
func Run(ctx context.Context, o Options) error {
	if o.Projects < 1 || o.Tasks < 0 || o.Workers < 1 {
		return errors.New("the demonstration needs a project and a worker at least")
	}
	r := &run{Options: o, client: newClient(o.URL), tokens: make([]string, len(people)), users: make([]string, len(people))}
	defer r.client.close()
	err := r.fill(ctx)
	if left := r.signOut(context.WithoutCancel(ctx)); err == nil {
		err = left
	}
	if err != nil {
		return err
	}
	return r.logins()
}

type run struct {
	Options
	client        *client
	tokens, users []string // by person
}

func (r *run) fill(ctx context.Context) error {
	for i := range people {
		if err := r.signIn(ctx, i); err != nil {
			return fmt.Errorf("%s: %w", people[i].email(), err)
		}
	}
	projects, err := r.projects(ctx)
	if err != nil {
		return err
	}
	return r.tasks(ctx, projects)
}

// signIn gets a token of the person for the organization, and makes what is
// missing for that: the owner and the organization, the invitation of who else
// is in it and their account.
func (r *run) signIn(ctx context.Context, i int) error {
	err := r.login(ctx, i)
	absent := status(err) == http.StatusUnauthorized || status(err) == http.StatusForbidden
	switch {
	case i > 0 && absent:
		return r.join(ctx, i)
	case i > 0:
		return err
	case absent:
		if err := r.register(ctx, 0, map[string]any{"organization_name": Organization, "subdomain": Subdomain}); err != nil {
			return err
		}
		err = r.login(ctx, 0)
	}
	if err != nil {
		return err
	}
	// Before the first request of the organization: the edge keeps a plan's
	// limits for a minute.
	return r.Operator(ctx, "plan", Subdomain, plan)
}

func (r *run) register(ctx context.Context, i int, more map[string]any) error {
	p := people[i]
	body := map[string]any{"email": p.email(), "password": Password, "first_name": p.first, "last_name": p.last}
	maps.Copy(body, more)
	if _, err := r.client.do(ctx, call{method: http.MethodPost, path: "/api/v1/auth/register/", body: body, key: "demo-register-" + p.email()}); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	return nil
}

func (r *run) login(ctx context.Context, i int) error {
	var in struct {
		AccessToken string `json:"access_token"`
		User        struct{ ID string }
	}
	_, err := r.client.do(ctx, call{
		method: http.MethodPost, path: "/api/v1/auth/login/", into: &in,
		body: map[string]any{"email": people[i].email(), "password": Password, "tenant": Subdomain, "remember_me": false},
	})
	r.tokens[i], r.users[i] = in.AccessToken, in.User.ID
	return err
}

// signOut ends the sessions of this run.
func (r *run) signOut(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	var faults []error
	for _, token := range r.tokens {
		if token != "" {
			_, err := r.client.do(ctx, call{method: http.MethodPost, path: "/api/v1/auth/logout/", token: token, body: map[string]any{}})
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

type project struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// projects gives the demonstration's projects, made where they are missing.
func (r *run) projects(ctx context.Context) ([]project, error) {
	there := map[string]project{}
	err := each(ctx, r, "/api/v1/projects/?page_size=200&ordering=created_at", func(p project) { there[p.Name] = p })
	if err != nil {
		return nil, fmt.Errorf("list the projects: %w", err)
	}
	out := make([]project, r.Projects)
	for i := range out {
		name, description := projectOf(i)
		if p, ok := there[name]; ok {
			out[i] = p
			continue
		}
		_, err := r.client.do(ctx, call{
			method: http.MethodPost, path: "/api/v1/projects/", token: r.tokens[lead(i)], into: &out[i],
			body: map[string]any{"name": name, "description": description}, key: fmt.Sprintf("demo-project-%d", i),
		})
		if err != nil {
			return nil, fmt.Errorf("create the project %s: %w", name, err)
		}
	}
	return out, nil
}

type job struct {
	path, key, token string
	body             map[string]any
}

// tasks makes the tasks that are missing.
func (r *run) tasks(ctx context.Context, projects []project) error {
	var todo []job
	for i, p := range projects {
		path := "/api/v1/projects/" + p.ID + "/tasks/"
		there := map[string]bool{}
		err := each(ctx, r, path+"?page_size=200&ordering=created_at", func(t struct{ Title string }) { there[t.Title] = true })
		if err != nil {
			return fmt.Errorf("list the tasks of %s: %w", p.Name, err)
		}
		n := r.Tasks / r.Projects
		if i < r.Tasks%r.Projects {
			n++
		}
		for k := range n {
			t := taskOf(i, k)
			if there[t.title] {
				continue
			}
			todo = append(todo, job{path, fmt.Sprintf("demo-task-%d-%d", i, k), r.tokens[t.author], t.body(p.CreatedAt, r.users)})
		}
	}
	bar := &progress{out: r.Out, terminal: r.Terminal, total: r.Tasks, done: r.Tasks - len(todo), kept: r.Tasks - len(todo), begun: time.Now()}
	bar.show()
	defer bar.end()
	return r.work(ctx, todo, bar)
}

// work sends the jobs, some at once, and stops at the first that fails.
func (r *run) work(ctx context.Context, todo []job, bar *progress) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	queue := make(chan job)
	var workers sync.WaitGroup
	for range r.Workers {
		workers.Go(func() {
			for j := range queue {
				if _, err := r.client.do(ctx, call{method: http.MethodPost, path: j.path, token: j.token, body: j.body, key: j.key}); err != nil {
					stop(fmt.Errorf("create a task: %w", err))
					continue // what is left is let go by the ended context
				}
				bar.add()
			}
		})
	}
	for _, j := range todo {
		select {
		case queue <- j:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// logins prints who can sign in.
func (r *run) logins() error {
	fmt.Fprintf(r.Out, "\n%s (%s), plan %s: %d projects, %d tasks. Everybody's password is %s\n\n", Organization, Subdomain, plan, r.Projects, r.Tasks, Password)
	w := tabwriter.NewWriter(r.Out, 0, 0, 2, ' ', 0)
	for _, p := range people {
		fmt.Fprintf(w, "  %s\t%s\t%s %s\n", p.email(), p.role, p.first, p.last)
	}
	return w.Flush()
}
