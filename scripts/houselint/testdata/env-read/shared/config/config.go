package config

import "os"

func Environ(name string) (string, bool) { return os.LookupEnv(name) }
