// Command coverage prints the coverage of every package in the given profiles
// and fails when one is below its floor.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/coditect/platform/scripts/coverage"
)

func main() {
	floors := flag.String("floors", "", "file of exceptions from the default floor")
	flag.Parse()
	if err := run(*floors, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

func run(floorsFile string, profiles []string) error {
	var floors coverage.Floors
	if floorsFile != "" {
		f, err := os.Open(floorsFile)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // Only read.
		if floors, err = coverage.ParseFloors(f); err != nil {
			return fmt.Errorf("%s: %w", floorsFile, err)
		}
	}
	var all coverage.Profile
	for _, name := range profiles {
		if err := add(&all, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var low []string
	for _, p := range all.Packages() {
		mark := ""
		if floor := floors.Of(p.Path); p.Percent() < floor {
			mark = fmt.Sprintf("  below %.0f %%", floor)
			low = append(low, p.Path+mark)
		}
		fmt.Printf("%6.1f %%  %s%s\n", p.Percent(), p.Path, mark)
	}
	if len(low) > 0 { // by name: of a long log often its end alone is kept
		return errors.New(strings.Join(low, "; "))
	}
	return nil
}

func add(all *coverage.Profile, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // Only read.
	return all.Add(f)
}
