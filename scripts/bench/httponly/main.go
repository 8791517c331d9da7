// Command httponly is net/http and nothing else: what a program in Go that serves
// HTTP costs on the machine before its first answer, whatever it is for. The
// starts of the platform's programs are seen beside it. It is a program of its
// own, as what else were linked into it would be timed too.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: httponly PORT")
	}
	server := http.Server{Addr: net.JoinHostPort("127.0.0.1", os.Args[1]), Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	log.Fatal(server.ListenAndServe())
}
