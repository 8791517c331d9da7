// Command deps keeps the list of packages that each function links.
//
//	deps -write    write deps.txt in every function of functions.json
//	deps -check    fail when one is not current, or a module holds a library
//	               at a version that slows the start
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

func main() {
	write := flag.Bool("write", false, "write deps.txt in every function")
	check := flag.Bool("check", false, "fail when one is not current")
	flag.Parse()
	if *write == *check {
		fmt.Fprintln(os.Stderr, "deps: say -write or -check")
		os.Exit(2)
	}
	if err := run(context.Background(), *write); err != nil {
		fmt.Fprintln(os.Stderr, "deps:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, write bool) error {
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	list, err := deployables.Load(root)
	if err != nil {
		return err
	}
	stale := 0
	for _, f := range list {
		dir := filepath.Join(root, f.Folder)
		if write {
			changed, err := linked.Write(ctx, dir)
			if err != nil {
				return err
			}
			if changed {
				fmt.Printf("wrote %s/%s\n", f.Folder, linked.File)
			}
			continue
		}
		added, removed, err := linked.Check(ctx, dir)
		if err != nil {
			return err
		}
		for _, p := range added {
			fmt.Printf("%s links %s, which its deps.txt does not say\n", f.Folder, p)
		}
		for _, p := range removed {
			fmt.Printf("%s no longer links %s\n", f.Folder, p)
		}
		stale += len(added) + len(removed)
	}
	if write {
		return nil
	}
	faults, err := floors(ctx, root)
	if err != nil {
		return err
	}
	if stale+faults > 0 {
		return fmt.Errorf("%d lines to change (make generate), %d versions too old", stale, faults)
	}
	return nil
}

// floors looks at every module of the workspace.
func floors(ctx context.Context, root string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		return 0, err
	}
	work, err := modfile.ParseWork("go.work", raw, nil)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, u := range work.Use {
		faults, err := linked.Floors(ctx, filepath.Join(root, u.Path))
		if err != nil {
			return count, err
		}
		for _, f := range faults {
			fmt.Printf("%s: %s\n", u.Path, f)
		}
		count += len(faults)
	}
	return count, nil
}
