package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/config"
)

// checkTimeout is longer than the router itself waits for the database.
const checkTimeout = 4 * time.Second

// check asks the router that runs beside it, in the same container, whether it can
// serve. Container engines run a program for that, and the image has no other.
func check(ctx context.Context, lookup config.Lookup) error {
	set, err := config.Load[settings](lookup)
	if err != nil {
		return err
	}
	host := set.Host
	if host == "" {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, set.Port)+"/health/", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // for the engine's record; the status decides
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %d %s", resp.StatusCode, body)
	}
	return nil
}
