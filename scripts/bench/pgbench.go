package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/coditect/platform/scripts/bench/capture"
	"github.com/coditect/platform/scripts/bench/load"
	"github.com/coditect/platform/scripts/bench/stage"
	"github.com/coditect/platform/scripts/local/tools"
)

// pgbench takes 128 scripts at most; each holds several transactions, so that
// there are as many keys as in the other contenders' requests.
const (
	scripts   = 128
	perScript = keys / scripts
)

var (
	transactions = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
	perSecond    = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)
)

// ParsePgbench reads pgbench's report.
func ParsePgbench(text string) (scriptsRun int, scriptsPerSecond float64, err error) {
	n, rate := transactions.FindStringSubmatch(text), perSecond.FindStringSubmatch(text)
	if n == nil || rate == nil {
		return 0, 0, fmt.Errorf("pgbench's report is not as expected:\n%s", text)
	}
	if scriptsRun, err = strconv.Atoi(n[1]); err != nil {
		return 0, 0, err
	}
	scriptsPerSecond, err = strconv.ParseFloat(rate[1], 64)
	return scriptsRun, scriptsPerSecond, err
}

// runPgbench is the contender L.
func runPgbench(ctx context.Context, o Options, p *platform, l line, w load.Window) (load.Result, error) {
	exchange := map[string]capture.Exchange{"list": p.does.List, "get": p.does.Get, "create": p.does.Create}[l.name]
	args, err := writeScripts(o, l, exchange)
	if err != nil {
		return load.Result{}, err
	}
	u, err := url.Parse(p.env("DATABASE_URL"))
	if err != nil {
		return load.Result{}, errors.New("DATABASE_URL is no URL")
	}
	password, _ := u.User.Password()
	seconds := max(1, int(o.Length.Round(time.Second).Seconds()))
	args = append([]string{
		"-n", "-M", "extended", "-c", strconv.Itoa(o.Conns), "-j", "2", "-T", strconv.Itoa(seconds),
		"-h", u.Hostname(), "-p", u.Port(), "-U", u.User.Username(),
	}, args...)
	program := "pgbench"
	server, err := o.Tools.FindPostgres(ctx, 0)
	if err != nil {
		return load.Result{}, err
	}
	if bundled := filepath.Join(server.Bin, "pgbench"); fileExists(bundled) {
		program = bundled
	}
	limit, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second+patience)
	defer cancel()
	cmd := exec.CommandContext(limit, program, append(args, u.Path[1:])...)
	cmd.Env = tools.Env(append(inherited(), "PGPASSWORD="+password, "PGSSLMODE=disable"), server.Libs)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	w.Begin()
	out, err := cmd.Output()
	w.End()
	if err != nil {
		return load.Result{}, fmt.Errorf("pgbench: %w\n%s", err, complaint.Bytes())
	}
	n, rate, err := ParsePgbench(string(out))
	if err != nil {
		return load.Result{}, err
	}
	return load.Result{Requests: n * perScript, Elapsed: time.Duration(float64(n) / rate * float64(time.Second))}, nil
}

// writeScripts makes the scripts and gives the arguments that name them and
// define their variables.
func writeScripts(o Options, l line, e capture.Exchange) ([]string, error) {
	dir := o.Home.Path("pgbench", l.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var args []string
	literals := map[string]string{}
	all := o.Size.Keys(keys)
	for s := range scripts {
		var text strings.Builder
		for k := range perScript {
			at := s*perScript + k
			key := all[at]
			known := map[string]string{
				"tenant": stage.Tenant(key.Tenant).String(), "user": stage.User(key.Tenant, 0).String(),
				"project": stage.Project(key.Tenant, key.Project).String(), "task": stage.Task(key.Tenant, key.Project, key.Task).String(),
			}
			used := map[string]bool{}
			text.WriteString(e.Script(func(name string) string {
				used[name] = true
				return name + strconv.Itoa(at)
			}, literals))
			for name := range used {
				args = append(args, "-D", name+strconv.Itoa(at)+"="+known[name])
			}
		}
		file := filepath.Join(dir, strconv.Itoa(s)+".sql")
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "-f", file)
	}
	for name, value := range literals {
		args = append(args, "-D", name+"="+value)
	}
	return args, nil
}

func fileExists(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
