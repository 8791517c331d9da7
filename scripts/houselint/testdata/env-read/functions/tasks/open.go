package tasks

import (
	"os"
	env "os"
	"syscall"
)

var (
	_    = os.Getenv("A")      // want env-read
	_, _ = env.LookupEnv("B")  // want env-read
	_    = os.Environ          // want env-read
	_, _ = syscall.Getenv("C") // want env-read
	_    = os.Args
	x    getter
	_    = x.Getenv("D")
)

type getter struct{}

func (getter) Getenv(string) string { return "" }
