// Command package-lambda builds the archives of functions for AWS Lambda:
// dist/lambda/<name>-<arch>.zip, each a bootstrap for the provided.al2023
// runtime, the same bytes for the same sources.
//
//	package-lambda [-out dist/lambda] [-arch arm64,amd64] [NAME …]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/staging"
)

func main() {
	out := flag.String("out", "dist/lambda", "the folder for the archives, from the repository's root")
	arch := flag.String("arch", strings.Join(staging.LambdaArchitectures, ","), "the architectures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, strings.Split(*arch, ","), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "package-lambda:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, architectures, names []string) error {
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
	for _, f := range list {
		if len(names) > 0 && !slices.Contains(names, f.Name) {
			continue
		}
		for _, arch := range architectures {
			a, err := staging.Lambda(ctx, root, f.Folder, arch, out)
			if err != nil {
				return err
			}
			fmt.Printf("%-14s %-6s %6.1f MB  sha256 %s\n", f.Name, arch, float64(a.Size)/1e6, a.SHA256[:16])
		}
	}
	return nil
}
