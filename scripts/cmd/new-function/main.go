// Command new-function begins a function that builds, tests and deploys:
//
//	make new-function NAME=labels
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/scaffold"
)

func main() {
	name := flag.String("name", "", "the function's name, such as labels")
	flag.Parse()
	if *name == "" {
		*name = flag.Arg(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *name); err != nil {
		fmt.Fprintln(os.Stderr, "new-function:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string) error {
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	made, err := scaffold.Function(ctx, root, name)
	if err != nil {
		return err
	}
	for _, m := range made {
		fmt.Println("wrote", m)
	}
	fmt.Printf(`
Next:
  functions/%[1]s/function.go   say what it is for
  functions/functions.json   resources, secrets, who may call it
  make test PKG=./functions/%[1]s/...
  scripts/package.sh -check %[1]s
`, name)
	return nil
}
