// Package proc reads from Linux' /proc what processes have used: time on the
// processor, and memory.
package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/<pid>/stat: USER_HZ, 100 a second on every
// architecture that Go runs on (proc(5), sysconf(3)).
const tick = 10 * time.Millisecond

var errForm = errors.New("not of the expected form")

// Stat is what we read of /proc/<pid>/stat.
type Stat struct {
	Parent int
	CPU    time.Duration // user and system, of all threads, without children
}

// ParseStat reads the text of /proc/<pid>/stat. The second field is the
// program's name in parentheses and may itself hold spaces and parentheses.
func ParseStat(text string) (Stat, error) {
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return Stat{}, errForm
	}
	fields := strings.Fields(text[end+1:]) // from the third on
	const parent, user, system = 4 - 3, 14 - 3, 15 - 3
	if len(fields) <= system {
		return Stat{}, errForm
	}
	var numbers [3]int64
	for i, at := range []int{parent, user, system} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return Stat{}, errForm
		}
		numbers[i] = n
	}
	return Stat{Parent: int(numbers[0]), CPU: time.Duration(numbers[1]+numbers[2]) * tick}, nil
}

// Read reads the Stat of a process.
func Read(pid int) (Stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, err
	}
	s, err := ParseStat(string(text))
	if err != nil {
		return s, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return s, nil
}

// CPU is what the processes have used together; those that ended count nothing.
func CPU(pids ...int) time.Duration {
	var sum time.Duration
	for _, pid := range pids {
		if s, err := Read(pid); err == nil {
			sum += s.CPU
		}
	}
	return sum
}

// Family is a process and its children, for servers that fork.
func Family(pid int) []int {
	out := []int{pid}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return out
	}
	for _, file := range files {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if s, err := Read(child); err == nil && s.Parent == pid {
			out = append(out, child)
		}
	}
	return out
}

// ParsePSS reads the proportional set size, in bytes, out of the text of
// /proc/<pid>/smaps_rollup: pages of its own, and its part of shared ones.
func ParsePSS(text []byte) (int64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "Pss:" && fields[2] == "kB" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return 0, errForm
			}
			return n << 10, nil
		}
	}
	return 0, errForm
}

// PSS is the proportional set size of a process in bytes.
func PSS(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	n, err := ParsePSS(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}
