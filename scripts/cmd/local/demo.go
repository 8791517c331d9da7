package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"github.com/coditect/platform/scripts/local/demo"
	"github.com/coditect/platform/scripts/local/tenant"
)

// fillDemo fills the demonstration organization of the platform that runs.
func fillDemo(ctx context.Context, here place, _ []string) (int, error) {
	address := os.Getenv("CODITECT_URL")
	if address == "" {
		port := os.Getenv("PORT")
		if port == "" {
			port = "8080"
		}
		address = "http://127.0.0.1:" + port
	}
	at, err := url.Parse(address)
	if err != nil || at.Host == "" {
		return 2, fmt.Errorf("CODITECT_URL=%s is no address such as http://127.0.0.1:8080", address)
	}
	if ip := net.ParseIP(at.Hostname()); at.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) && os.Getenv("YES") != "1" {
		return 1, errors.New("the demonstration's password is public: set YES=1 to make its accounts on another machine")
	}
	address = at.Scheme + "://" + at.Host
	if err := demo.Reachable(ctx, address); err != nil {
		return 1, err
	}
	info, err := os.Stdout.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return withDatabase(ctx, here, func(at addresses) (int, error) {
		return 0, demo.Run(ctx, demo.Options{
			URL: address, Projects: 20, Tasks: 5000, Workers: 16, Out: os.Stdout, Terminal: terminal,
			Operator: func(ctx context.Context, words ...string) error {
				done, err := tenant.Do(ctx, at.system, words)
				if err == nil {
					forget(ctx, here, done)
				}
				return err
			},
		})
	})
}
