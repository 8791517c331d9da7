// Command httponly is net/http and nothing else: what a program in Go that serves
// HTTP costs on the machine before its first answer, whatever it is for. The
// starts of the platform's programs are seen beside it. It is a program of its
// own, as what else were linked into it would be timed too.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "httponly:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("one argument is wanted, the port, not %d", len(args))
	}
	server := http.Server{Addr: net.JoinHostPort("127.0.0.1", args[0]), Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	return server.ListenAndServe()
}
