// Package coverage adds up Go coverage profiles by package and holds them
// against floors.
package coverage

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"sort"
	"strconv"
	"strings"
)

// Default is the floor of a package that no rule names, in percent.
const Default = 80.0

// Profile counts statements, merged over any number of profiles: with
// -coverpkg each test binary reports every block, and one that reached a block
// is enough.
type Profile struct {
	blocks map[string]block // by file and range
}

type block struct {
	statements int
	covered    bool
}

// Add reads one profile as `go test -coverprofile` writes it.
func (p *Profile) Add(r io.Reader) error {
	if p.blocks == nil {
		p.blocks = map[string]block{}
	}
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		text := s.Text()
		if text == "" || strings.HasPrefix(text, "mode:") {
			continue
		}
		fields := strings.Fields(text) // file.go:1.2,3.4 statements count
		if len(fields) != 3 || !strings.Contains(fields[0], ":") {
			return fmt.Errorf("line %d is no coverage block: %q", line, text)
		}
		statements, errStatements := strconv.Atoi(fields[1])
		count, errCount := strconv.Atoi(fields[2])
		if errStatements != nil || errCount != nil {
			return fmt.Errorf("line %d is no coverage block: %q", line, text)
		}
		b := p.blocks[fields[0]]
		p.blocks[fields[0]] = block{statements: statements, covered: b.covered || count > 0}
	}
	return s.Err()
}

// Package is one package's sum.
type Package struct {
	Path       string
	Statements int
	Covered    int
}

// Percent is the covered part; a package without statements is whole.
func (p Package) Percent() float64 {
	if p.Statements == 0 {
		return 100
	}
	return 100 * float64(p.Covered) / float64(p.Statements)
}

// Packages sums the blocks by package, in order of path.
func (p *Profile) Packages() []Package {
	sums := map[string]*Package{}
	for at, b := range p.blocks {
		file, _, _ := strings.Cut(at, ":")
		dir := path.Dir(file)
		if sums[dir] == nil {
			sums[dir] = &Package{Path: dir}
		}
		sums[dir].Statements += b.statements
		if b.covered {
			sums[dir].Covered += b.statements
		}
	}
	list := make([]Package, 0, len(sums))
	for _, sum := range sums {
		list = append(list, *sum)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list
}

// Floors are the exceptions from Default.
type Floors []Floor

// Floor is the least coverage of the packages that match.
type Floor struct {
	Pattern string // path.Match against the end of the package's path
	Percent float64
	Reason  string
}

// ParseFloors reads lines of pattern, percent and reason. # begins a comment
// line. An exception without a reason is an error.
func ParseFloors(r io.Reader) (Floors, error) {
	var list Floors
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		fields := strings.Fields(text)
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d: want a pattern, a percentage and a reason", line)
		}
		percent, err := strconv.ParseFloat(fields[1], 64)
		if err != nil || percent < 0 || percent > 100 {
			return nil, fmt.Errorf("line %d: %q is no percentage", line, fields[1])
		}
		if _, err := path.Match(fields[0], ""); err != nil {
			return nil, fmt.Errorf("line %d: pattern %q: %w", line, fields[0], err)
		}
		list = append(list, Floor{Pattern: fields[0], Percent: percent, Reason: strings.Join(fields[2:], " ")})
	}
	return list, s.Err()
}

// Of is the floor of a package: that of the longest pattern that matches.
func (f Floors) Of(pkg string) float64 {
	percent, longest := Default, -1
	for _, floor := range f {
		if len(floor.Pattern) > longest && matchesEnd(floor.Pattern, pkg) {
			percent, longest = floor.Percent, len(floor.Pattern)
		}
	}
	return percent
}

// matchesEnd compares as many trailing elements as the pattern has.
func matchesEnd(pattern, pkg string) bool {
	want, have := strings.Count(pattern, "/")+1, strings.Split(pkg, "/")
	if len(have) < want {
		return false
	}
	ok, err := path.Match(pattern, strings.Join(have[len(have)-want:], "/"))
	return err == nil && ok
}
