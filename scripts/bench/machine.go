package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Machine is where a run took place, and of what.
type Machine struct {
	CPU      string
	Cores    int
	Kernel   string
	Versions []string // of the programs
	Commit   string
	Setting  string // what was loaded, and how it was asked
}

func (m Machine) String() string {
	return fmt.Sprintf("%s, %d cores, %s; %s. %s", m.CPU, m.Cores, m.Kernel, strings.Join(m.Versions, ", "), m.Setting)
}

func machine(ctx context.Context, o Options, p *platform) Machine {
	m := Machine{CPU: runtime.GOARCH, Cores: runtime.NumCPU(), Kernel: runtime.GOOS, Versions: []string{runtime.Version()}}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = cpuModel(text)
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(text))
	}
	if server, err := o.Tools.FindPostgres(ctx, 0); err == nil {
		m.Versions = append(m.Versions, firstLine(ctx, o.Root, filepath.Join(server.Bin, "postgres"), "--version"))
	}
	if pooler, err := o.Tools.FindPgBouncer(); err == nil {
		m.Versions = append(m.Versions, firstLine(ctx, o.Root, pooler.Path, "--version"))
	}
	if fields := strings.Fields(firstLine(ctx, o.Root, "redis-server", "--version")); len(fields) > 2 {
		m.Versions = append(m.Versions, "Redis "+strings.TrimPrefix(fields[2], "v="))
	}
	m.Commit = firstLine(ctx, o.Root, "git", "describe", "--always", "--dirty", "--tags")
	m.Setting = fmt.Sprintf("%d tasks (%s tenants × projects × tasks), %d connections, %d rounds of %s", o.Size.Total(), o.Size, o.Conns, o.Rounds, o.Length)
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		if minute, _, ok := strings.Cut(string(text), " "); ok {
			m.Setting += ", load before it " + minute
		}
	}
	if p.o.Own {
		m.Setting += ", the platform's parts built for profiling"
	}
	return m
}

// cpuModel reads the processor's name out of /proc/cpuinfo.
func cpuModel(text []byte) string {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// firstLine is what a program says first, or that it says nothing.
func firstLine(ctx context.Context, dir, program string, args ...string) string {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return filepath.Base(program) + " unknown"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}
