package doctor

import (
	"context"
	"strconv"

	"github.com/coditect/platform/scripts/local/tools"
)

// Checks is every tool that a target of the Makefile uses.
func Checks(finder tools.Finder) []Check {
	return []Check{
		{
			Name: "go", Why: "everything", Find: Command("go", "version"), Min: "1.26",
			Get: "https://go.dev/dl/", GetMac: "brew install go",
		},
		{
			Name: "make", Why: "everything", Find: Command("make", "--version"),
			Get: "sudo apt-get install make", GetMac: "xcode-select --install",
		},
		{
			Name: "git", Why: "hooks, reproducible packages", Find: Command("git", "--version"),
			Get: "sudo apt-get install git", GetMac: "xcode-select --install",
		},
		{
			Name: "C compiler", Why: "the race detector of make test", Find: Command("gcc", "--version"),
			Get: "make deps, or: sudo apt-get install gcc libc6-dev", GetMac: "xcode-select --install",
		},
		{
			Name: "redis-server", Why: "the rate limits' tests of make test", Find: Command("redis-server", "--version"),
			Get: "make deps, or: sudo apt-get install redis-server", GetMac: "brew install redis",
		},
		{
			Name: "PostgreSQL", Why: "make run and make test, unless a database is given",
			Find: func(ctx context.Context) (string, error) {
				found, err := finder.FindPostgres(ctx, 0)
				return strconv.Itoa(found.Major), err
			},
			Min: strconv.Itoa(tools.MinPostgres),
			Get: "make run and make deps get it; or: sudo apt-get install postgresql", GetMac: "brew install postgresql@16",
		},
		{
			Name: "PgBouncer", Why: "make run and make test, unless a database is given",
			Find: func(ctx context.Context) (string, error) {
				found, err := finder.FindPgBouncer()
				if err != nil {
					return "", err
				}
				if found.Libs != "" { // Unpacked: it does not start without its libraries.
					return "unpacked", nil
				}
				return Command(found.Path, "--version")(ctx)
			},
			Get: "make run and make deps get it; or: sudo apt-get install pgbouncer", GetMac: "brew install pgbouncer",
		},
		{
			Name: "curl", Why: "the journey in the README", Find: Command("curl", "--version"),
			Get: "sudo apt-get install curl", GetMac: "brew install curl",
		},
		{
			Name: "unzip", Why: "looking into the archives of make package", Comfort: true, Find: Command("unzip", "-v"),
			Get: "sudo apt-get install unzip", GetMac: "brew install unzip",
		},
		{
			Name: "psql", Why: "make psql", Comfort: true, Find: Command("psql", "--version"),
			Get: "sudo apt-get install postgresql-client", GetMac: "brew install libpq",
		},
		{
			Name: "jq", Why: "reading answers in the README's journey", Comfort: true, Find: Command("jq", "--version"),
			Get: "sudo apt-get install jq", GetMac: "brew install jq",
		},
		{
			Name: "node", Why: "make verify, which lints the API's document and runs its collection", Comfort: true, Find: Command("node", "--version"), Min: "18.18",
			Get: "make verify gets it; or: sudo apt-get install nodejs npm, or https://nodejs.org/", GetMac: "brew install node",
		},
		{
			Name: "chromium", Why: "make verify, which uses the API documentation's page", Comfort: true, Find: Command("chromium", "--version"),
			Get: "make verify gets it; or: sudo apt-get install chromium, or CHROMIUM=/path/to/chrome", GetMac: "brew install --cask google-chrome",
		},
	}
}
