// Command package stages functions for deployment: dist/<name>/ with vendored
// dependencies, and dist/<name>.zip, the same bytes for the same sources.
//
//	package [-out dist] [-check] [NAME …]      all of functions.json, or these
//
// With -check each archive is staged twice and compared, built offline as
// Google's Go buildpack does, started, and asked.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/staging"
)

func main() {
	out := flag.String("out", "dist", "the folder for what is staged, from the repository's root")
	check := flag.Bool("check", false, "build and start each archive as the cloud does")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *check, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "package:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, check bool, names []string) error {
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	list, err := deployables.Load(root)
	if err != nil {
		return err
	}
	for _, n := range names {
		if !slices.ContainsFunc(list, func(f deployables.Function) bool { return f.Name == n }) {
			return fmt.Errorf("there is no function %q in %s", n, deployables.ListFile)
		}
	}
	failed := 0
	for _, f := range list {
		if len(names) > 0 && !slices.Contains(names, f.Name) {
			continue
		}
		if err := one(ctx, root, out, f, check); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", f.Name, err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d functions failed", failed)
	}
	return nil
}

func one(ctx context.Context, root, out string, f deployables.Function, check bool) error {
	a, err := staging.Stage(ctx, root, f.Folder, out)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%-14s %6.1f MB  sha256 %s", f.Name, float64(a.Size)/1e6, a.SHA256[:16])
	if !check {
		fmt.Println(line)
		return nil
	}
	scratch, err := os.MkdirTemp("", "package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	again, err := staging.Stage(ctx, root, f.Folder, scratch)
	if err != nil {
		return err
	}
	if again.SHA256 != a.SHA256 {
		return fmt.Errorf("staged twice, the archive differs: %s and %s", a.SHA256, again.SHA256)
	}
	binary := filepath.Join(scratch, "server")
	size, err := staging.Build(ctx, a.File, binary)
	if err != nil {
		return err
	}
	status, took, err := staging.Start(ctx, binary, f.Entry)
	if err != nil {
		return err
	}
	fmt.Printf("%s  built offline %5.1f MB, answered %d after %s\n", line, float64(size)/1e6, status, took.Round(time.Millisecond))
	return nil
}
