// Command houselint reports breaches of the rules of the house.
//
//	houselint             every Go file of the repository
//	houselint FILE …      these, by their paths from its root
//	houselint -rules      the rules and their reasons
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/houselint"
)

func main() {
	list := flag.Bool("rules", false, "print the rules and their reasons")
	flag.Parse()
	if *list {
		for _, r := range houselint.Rules() {
			fmt.Printf("%-16s %s\n", r.Name, r.Reason)
		}
		return
	}
	root, err := deployables.Root(".")
	if err != nil {
		fail(err)
	}
	found, err := houselint.Lint(root, flag.Args()...)
	if err != nil {
		fail(err)
	}
	for _, f := range found {
		fmt.Println(f)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "houselint:", err)
	os.Exit(2)
}
