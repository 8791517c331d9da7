// Command rotate-keys reads a key secret from standard input and writes it with
// one more key to standard output. See docs/runbooks/key-rotation.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coditect/platform/scripts/local/keys"
	"github.com/coditect/platform/shared/keyrotation"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout, time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "rotate-keys:", err)
		os.Exit(1)
	}
}

// longest bounds a secret that is read.
const longest = 1 << 20

func run(args []string, stdin io.Reader, stdout io.Writer, now time.Time) error {
	f := flag.NewFlagSet("rotate-keys", flag.ContinueOnError)
	secret := f.String("secret", "", "the secret's name: signing-keys, hop-key, cursor-key or envelope-keys")
	keep := f.Duration("keep", 0, "drop keys that were replaced longer ago than this; 0 drops none")
	atOnce := f.Bool("now", false, "the new key counts at once: only after a leak")
	fresh := f.String("init", "", "instead: write the keys that are missing into this folder, for SECRETS_DIR")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not asked for", f.Arg(0))
	}
	if *fresh != "" {
		if *secret != "" || *keep != 0 || *atOnce {
			return errors.New("-init makes all that are missing, and goes with nothing else")
		}
		_, err := (keys.Store{Dir: *fresh}).Load(now)
		return err
	}
	data, err := io.ReadAll(io.LimitReader(stdin, longest))
	if err != nil {
		return err
	}
	next, err := keyrotation.Next(*secret, data, now, *keep, *atOnce)
	if err != nil {
		return err
	}
	_, err = stdout.Write(next)
	return err
}
