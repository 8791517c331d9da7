// Package platform runs the whole platform for tests that cross functions: the
// router in front of every function, each behind HTTP, on a database of the
// test's own behind PgBouncer.
package platform

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/functions/all"
	"github.com/coditect/platform/router"
	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/functest"
)

// Platform is a running platform.
type Platform struct {
	*functest.Env
	Apps *all.Apps
	// Router is the edge's handler, for requests without a network.
	Router http.Handler
	// URL is where the router listens.
	URL string
}

// Start starts a platform that ends with t. change, if not nil, changes the
// environment before anything opens.
func Start(t testing.TB, change func(vars map[string]string)) *Platform {
	t.Helper()
	return Mount(t, functest.New(t), change)
}

// Mount starts a platform in surroundings that are there already.
func Mount(t testing.TB, e *functest.Env, change func(vars map[string]string)) *Platform {
	t.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	Stripe(t, e)
	vars := maps.Clone(e.Vars)
	vars["BASE_DOMAIN"] = "localhost"
	vars["LOG_LEVEL"] = "error"
	// Tests ask faster than people do; those of the limits set their own.
	for _, limit := range []string{"RATE_TENANT_PER_MINUTE", "RATE_USER_PER_MINUTE", "RATE_ESSENTIAL_PER_MINUTE", "RATE_IP_PER_MINUTE", "SIGNIN_IP_PER_MINUTE", "REGISTER_LIMIT_IP_PER_MINUTE", "RESET_LIMIT_IP_PER_MINUTE", "LINK_LIMIT_IP_PER_MINUTE", "INVITE_LIMIT_PER_DAY", "INVITE_LIMIT_FREE_PER_DAY"} {
		vars[limit] = "1000000"
	}
	if change != nil {
		change(vars)
	}
	ctx := context.Background()
	apps, err := all.Open(ctx, config.Map(vars))
	if err != nil {
		t.Fatal(err)
	}
	edge, err := router.Open(ctx, config.Map(vars), router.Options{Transport: apps.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(edge.Handler)
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		server.Close()
		_ = edge.Close()
		_ = apps.Close(ctx)
	})
	return &Platform{Env: e, Apps: apps, Router: edge.Handler, URL: server.URL}
}

// Send sends a request over the network to the router.
func (p *Platform) Send(t testing.TB, in functest.Request) functest.Response {
	t.Helper()
	r := p.NewRequest(t, in)
	r.URL, _ = r.URL.Parse(p.URL + r.URL.RequestURI())
	r.RequestURI = ""
	if r.Host == "example.com" { // httptest's; not ours
		r.Host = strings.TrimPrefix(p.URL, "http://")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return functest.Response{Status: resp.StatusCode, Header: resp.Header, Body: body}
}
