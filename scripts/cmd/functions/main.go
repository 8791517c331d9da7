// Command functions works with functions/functions.json, the list of deployables.
//
//	functions check      is the list in agreement with the tree?
//	functions generate   write what is derived from it
//	functions list       name, folder and entry of each, by tabs
package main

import (
	"fmt"
	"os"

	"github.com/coditect/platform/scripts/deployables"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "functions:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("say one of check, generate, list")
	}
	root, err := deployables.Root(".")
	if err != nil {
		return err
	}
	switch args[0] {
	case "check":
		faults, err := deployables.Check(root)
		if err != nil {
			return err
		}
		for _, f := range faults {
			fmt.Fprintln(os.Stderr, f)
		}
		if len(faults) > 0 {
			return fmt.Errorf("%d disagreements", len(faults))
		}
		return nil
	case "generate":
		changed, err := deployables.Generate(root)
		for _, c := range changed {
			fmt.Println("wrote", c)
		}
		return err
	case "list":
		list, err := deployables.Load(root)
		if err != nil {
			return err
		}
		for _, f := range list {
			fmt.Printf("%s\t%s\t%s\n", f.Name, f.Folder, f.Entry)
		}
		return nil
	}
	return fmt.Errorf("no command %q: check, generate or list", args[0])
}
