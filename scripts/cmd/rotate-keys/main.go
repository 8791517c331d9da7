// Command rotate-keys reads a key secret from standard input and writes it with
// one more key to standard output. See docs/runbooks/key-rotation.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/coditect/platform/scripts/local/keys"
	"github.com/coditect/platform/shared/keyrotation"
)

func main() {
	secret := flag.String("secret", "", "the secret's name: signing-keys, hop-key, cursor-key or envelope-keys")
	keep := flag.Duration("keep", 0, "drop keys that were replaced longer ago than this; 0 drops none")
	now := flag.Bool("now", false, "the new key counts at once: only after a leak")
	fresh := flag.String("init", "", "instead: write the keys that are missing into this folder, for SECRETS_DIR")
	flag.Parse()
	if *fresh != "" {
		if _, err := (keys.Store{Dir: *fresh}).Load(time.Now()); err != nil {
			fmt.Fprintln(os.Stderr, "rotate-keys:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(*secret, *keep, *now); err != nil {
		fmt.Fprintln(os.Stderr, "rotate-keys:", err)
		os.Exit(1)
	}
}

func run(secret string, keep time.Duration, now bool) error {
	data, err := io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	if err != nil {
		return err
	}
	next, err := keyrotation.Next(secret, data, time.Now(), keep, now)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(next)
	return err
}
