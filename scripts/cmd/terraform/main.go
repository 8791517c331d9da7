// Command terraform checks and writes what follows from the folder terraform/:
//
//	terraform form            every module has its files, all are formatted, READMEs and the matrix current
//	terraform planned NAME    in an environment terraform plans the bindings of that matrix, and no others
//	terraform generate        formats, and writes the READMEs and the matrix of who may what
//	terraform mutations NAME  breaks a module in every way that Mutations lists: its tests must notice each
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/terraform"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = "usage: terraform form|generate|mutations MODULE|planned ENVIRONMENT"

// Exit codes: 1 is a finding or a failure, 2 a wrong call.
const (
	exitFailed = 1
	exitUsage  = 2
)

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	root, err := deployables.Root(".")
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	var faults []string
	switch args[0] {
	case "form":
		faults, err = form(root)
	case "generate":
		err = generate(root, stdout)
	case "mutations", "planned":
		if len(args) != 2 {
			fmt.Fprintln(stderr, usage)
			return exitUsage
		}
		work := terraform.Mutate
		if args[0] == "planned" {
			work = terraform.Planned
		}
		faults, err = work(context.Background(), root, args[1])
	default:
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	for _, f := range faults {
		fmt.Fprintln(stdout, f)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
	}
	if err != nil || len(faults) > 0 {
		return exitFailed
	}
	return 0
}

func form(root string) ([]string, error) {
	for _, check := range []func(string) ([]string, error){terraform.Shape, terraform.Validated} {
		if faults, err := check(root); err != nil || len(faults) > 0 {
			return faults, err
		}
	}
	var faults []string
	unformatted, err := terraform.Format(root, false)
	for _, f := range unformatted {
		faults = append(faults, f+" is not formatted: make generate")
	}
	if err != nil {
		return faults, err
	}
	old, err := terraform.Readmes(root, false)
	for _, f := range old {
		faults = append(faults, f+" is not current: make generate")
	}
	if err != nil {
		return faults, err
	}
	old, err = terraform.Matrix(root, false)
	for _, f := range old {
		faults = append(faults, f+" is not current: make generate")
	}
	if err != nil {
		return faults, err
	}
	rights, err := terraform.Faults(root)
	return append(faults, rights...), err
}

func generate(root string, stdout io.Writer) error {
	formatted, err := terraform.Format(root, true)
	if err != nil {
		return err
	}
	written, err := terraform.Readmes(root, true)
	if err != nil {
		return err
	}
	accesses, err := terraform.Matrix(root, true)
	for _, f := range slices.Concat(formatted, written, accesses) {
		fmt.Fprintln(stdout, f)
	}
	return err
}
