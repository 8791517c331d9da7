// Command release answers what the scripts in scripts/delivery ask.
//
//	release changed -base COMMIT            what to deploy, a name a line; why on standard error
//	release changed -base COMMIT -tests     what to test, a pattern a line
//	release expands -base COMMIT            fail when a migration breaks the release that runs
//	release images -registry R              Terraform's variable of what is in a registry, of gcloud's JSON on standard input
//	release serving                         the revision with all traffic, of gcloud's JSON on standard input
//	release healthy -project P SERVICE=REVISION …   fail when one does not keep its objective (TOKEN)
//	release provenance -name NAME …         the predicate that is signed with an image
//	release smoke -url URL                  fail when our code does not answer there (-audience A, on Google Cloud)
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/release"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{
		"changed": changed, "expands": expands, "images": images, "serving": serving, "healthy": healthy, "provenance": provenance, "smoke": smoke,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("say one of changed, expands, images, serving, healthy, provenance, smoke")
	}
	return commands[args[0]](ctx, args[1:])
}

func changed(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("changed", flag.ExitOnError)
	base := f.String("base", "", "the commit that was deployed last; empty for everything")
	tests := f.Bool("tests", false, "print what to test instead")
	_ = f.Parse(args) // exits
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	c, err := release.Since(ctx, root, *base)
	if err != nil {
		return err
	}
	if *tests {
		for _, p := range c.Tests {
			fmt.Println(p)
		}
		return nil
	}
	for _, name := range c.Names() {
		fmt.Println(name)
		fmt.Fprintf(os.Stderr, "%-14s %s\n", name, c.Deploy[name])
	}
	return nil
}

func expands(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("expands", flag.ExitOnError)
	base := f.String("base", "", "the commit that was deployed last; empty checks every migration")
	_ = f.Parse(args)
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	faults, err := release.Expands(ctx, root, *base)
	if err != nil {
		return err
	}
	for _, fault := range faults {
		fmt.Fprintln(os.Stderr, fault)
	}
	if len(faults) > 0 {
		return fmt.Errorf("%d statements that the running release does not survive", len(faults))
	}
	return nil
}

func images(_ context.Context, args []string) error {
	f := flag.NewFlagSet("images", flag.ExitOnError)
	registry := f.String("registry", "", "the registry's address, without the image")
	plan := f.Bool("plan", false, "name what was never built all the same")
	_ = f.Parse(args)
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	list, err := deployables.Load(root)
	if err != nil {
		return err
	}
	names := []string{release.Router, release.Migrate}
	for _, f := range list {
		names = append(names, f.Name)
	}
	text, missing, err := release.ImageVariables(os.Stdin, *registry, names, *plan)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		fmt.Fprintln(os.Stderr, "no release built an image of "+strings.Join(missing, ", ")+" yet")
	}
	_, err = os.Stdout.Write(text)
	return err
}

func serving(context.Context, []string) error {
	revision, err := release.Serving(os.Stdin)
	if err != nil {
		return err
	}
	fmt.Println(revision)
	return nil
}

func healthy(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("healthy", flag.ExitOnError)
	m := release.Monitor{Client: &http.Client{Timeout: 30 * time.Second}, Token: os.Getenv("TOKEN")}
	f.StringVar(&m.Project, "project", "", "the project")
	f.StringVar(&m.Endpoint, "endpoint", "https://monitoring.googleapis.com", "Cloud Monitoring")
	window := f.Duration("window", 8*time.Minute, "how far back to look")
	wait := f.Duration("wait", 5*time.Minute, "how long to wait for figures")
	_ = f.Parse(args)
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	list, err := deployables.Load(root)
	if err != nil {
		return err
	}
	clients := map[string]bool{release.Router: true}
	for _, f := range list {
		clients[f.Name] = f.Kind == "http"
	}
	var revisions []release.Revision
	for _, pair := range f.Args() {
		service, revision, ok := strings.Cut(pair, "=")
		if _, known := clients[service]; !ok || !known {
			return fmt.Errorf("%q is not SERVICE=REVISION of one of ours", pair)
		}
		revisions = append(revisions, release.Revision{Service: service, Name: revision})
	}
	waiting, cancel := context.WithTimeout(ctx, *wait)
	defer cancel()
	if err := m.Await(waiting, revisions, *window, 15*time.Second); err != nil {
		return err
	}
	var bad []error
	for _, r := range revisions {
		h, err := m.Healthy(ctx, r, release.Promised(*window, clients[r.Service]))
		if err != nil {
			bad = append(bad, err)
			continue
		}
		fmt.Printf("%-40s %6.0f requests, %4.0f failed, %g of 100 within %s\n", r.Name, h.Requests, h.Failed, 100*release.LatencyGoal, h.Slow.Round(time.Millisecond))
	}
	return errors.Join(bad...)
}

func provenance(_ context.Context, args []string) error {
	f := flag.NewFlagSet("provenance", flag.ExitOnError)
	b := release.Build{Started: time.Now()}
	f.StringVar(&b.Name, "name", "", "the image")
	f.StringVar(&b.ID, "build", "", "the build's id")
	f.StringVar(&b.Repository, "repository", "https://github.com/coditect/platform", "the repository")
	f.StringVar(&b.Commit, "commit", "", "the commit")
	f.StringVar(&b.Builder, "builder", "https://cloudbuild.googleapis.com/GoogleHostedWorker", "who built")
	_ = f.Parse(args)
	text, err := release.Provenance(b)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

func smoke(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("smoke", flag.ExitOnError)
	address := f.String("url", "", "where the revision answers")
	audience := f.String("audience", "", "whom the caller's token is for; without it there is none")
	_ = f.Parse(args)
	// A first instance may take its time to reach the network.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	client := &http.Client{Timeout: 30 * time.Second}
	var token string
	var err error
	if *audience != "" {
		if token, err = release.Identity(ctx, client, release.Metadata, *audience); err != nil {
			return err
		}
	}
	for {
		if err = release.Answers(ctx, client, *address, token); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(3 * time.Second):
		}
	}
}
