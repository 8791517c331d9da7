package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/standin/mailbox"
)

// join brings somebody into the organization.
func (r *run) join(ctx context.Context, i int) error {
	p := people[i]
	before, err := r.links(ctx, p.email())
	if errors.Is(err, errNoMailbox) {
		// Their mail cannot be read: they register, and the operator lets them in.
		if err := r.register(ctx, i, nil); err != nil && status(err) != http.StatusConflict {
			return err
		}
		if err := r.Operator(ctx, "add", Subdomain, p.email(), p.role); err != nil {
			return err
		}
		return r.login(ctx, i)
	}
	if err != nil {
		return err
	}
	if err := r.invite(ctx, p); err != nil {
		return fmt.Errorf("invite: %w", err)
	}
	link, err := r.mailed(ctx, p.email(), len(before))
	if err != nil {
		return err
	}
	var in struct {
		AccessToken string `json:"access_token"`
		User        struct{ ID string }
	}
	_, err = r.client.do(ctx, call{
		method: http.MethodPost, path: "/api/v1/users/invitations/accept/", into: &in, key: ids.New().String(),
		body: map[string]any{"token": link.Query().Get("token"), "password": Password},
	})
	if err != nil {
		return fmt.Errorf("accept the invitation: %w", err)
	}
	r.tokens[i], r.users[i] = in.AccessToken, in.User.ID
	return nil
}

// invite has a mail sent to the person: of a new invitation, or of the one that
// an earlier run left open.
func (r *run) invite(ctx context.Context, p person) error {
	_, err := r.client.do(ctx, call{
		method: http.MethodPost, path: "/api/v1/users/", token: r.tokens[0], key: ids.New().String(),
		body: map[string]any{"email": p.email(), "first_name": p.first, "last_name": p.last, "role": p.role},
	})
	if status(err) != http.StatusConflict {
		return err
	}
	type invitation struct{ ID, Email string }
	open := ""
	if err := each(ctx, r, "/api/v1/users/invitations/", func(i invitation) {
		if i.Email == p.email() {
			open = i.ID
		}
	}); err != nil {
		return err
	}
	if open == "" {
		return err
	}
	_, err = r.client.do(ctx, call{method: http.MethodPost, path: "/api/v1/users/invitations/" + open + "/resend/", token: r.tokens[0], key: ids.New().String()})
	return err
}

var errNoMailbox = errors.New("the platform has no mailbox that could be read")

// links gives those of the invitations in the mailbox, the newest first.
func (r *run) links(ctx context.Context, to string) (out []*url.URL, err error) {
	var box struct {
		Results []struct{ Links []string }
	}
	_, err = r.client.once(ctx, call{method: http.MethodGet, path: mailbox.Prefix + "api/messages/?to=" + url.QueryEscape(to), into: &box})
	if status(err) == http.StatusNotFound {
		return nil, errNoMailbox
	}
	for _, m := range box.Results {
		for _, text := range m.Links {
			if link, err := url.Parse(text); err == nil && strings.HasSuffix(link.Path, "/accept-invitation") {
				out = append(out, link)
				break
			}
		}
	}
	return out, err
}

// mailPatience is how long an invitation's mail may take. It takes a second.
const mailPatience = time.Minute

// mailed waits until there are more invitations in the mailbox than there were,
// and gives the newest.
func (r *run) mailed(ctx context.Context, to string, before int) (*url.URL, error) {
	ctx, stop := context.WithTimeoutCause(ctx, mailPatience, fmt.Errorf("no invitation reached %s within %s", to, mailPatience))
	defer stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		links, err := r.links(ctx, to)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		if len(links) > before {
			return links[0], nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
