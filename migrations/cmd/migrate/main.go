// Command migrate brings a database to the schema of package migrations. It is run by hand, by make, and as a
// job of each deployment before the new code takes traffic.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `usage: migrate COMMAND

  up            apply every migration that is missing
  down [N]      take back the last N (1 if left out); what they held is lost
  status        list the migrations and whether they are applied
  version       print the number of the last one applied, 0 for none
  create NAME   write the next numbered file (in MIGRATIONS_DIR, or migrations/sql, or sql)
  bootstrap     make the database and its three roles (needs a superuser)

environment

  MIGRATE_DATABASE_URL   the database, as coditect_migrator, directly (not through a pooler)
  MIGRATE_LOCK_TIMEOUT   how long to wait for another run to end (5m)
  bootstrap reads SUPERUSER_DATABASE_URL, DATABASE_NAME (coditect) and, where they are to be set,
  MIGRATOR_PASSWORD, APP_PASSWORD, SYSTEM_PASSWORD; with CITUS=true it makes the extension too

exit codes: 0 done, 1 failed, 2 wrong usage, 3 another migration is running
`

// Exit codes of the command; deployments tell them apart.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitLocked = 3
)

// lookup reads an environment variable; empty when it is not set.
type lookup func(string) string
