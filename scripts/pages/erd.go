package pages

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/coditect/platform/migrations"
)

var (
	create  = regexp.MustCompile(`(?s)create table (?:if not exists )?app\.(\w+) \(\n(.*?)\n\s*\)`)
	foreign = regexp.MustCompile(`(?s)foreign key \(([^)]*)\)\s+references app\.(\w+)`)
	alter   = regexp.MustCompile(`(?s)alter table app\.(\w+) add constraint [^;]*?foreign key \(([^)]*)\)\s+references app\.(\w+)`)
	added   = regexp.MustCompile(`alter table app\.(\w+)\s+add column (\w+)`)
	dropped = regexp.MustCompile(`drop table (?:if exists )?app\.(\w+)`)
	comment = regexp.MustCompile(`(?m)--.*$`)
)

// columnsOf counts the columns of a table's body: lines as far in as its first,
// that begin with a name and not with a constraint.
func columnsOf(body string) int {
	margin := len(body) - len(strings.TrimLeft(body, " "))
	n := 0
	for line := range strings.Lines(body) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] != "constraint" && len(line)-len(strings.TrimLeft(line, " ")) == margin {
			n++
		}
	}
	return n
}

// diagram is the tables of the migrations by group, and what references what, for
// Mermaid. Keys are left out where every table has them.
func diagram(sql fs.FS) (string, error) {
	files, err := fs.Glob(sql, "*.sql")
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	columns, edges := map[string]int{}, map[string]bool{}
	edge := func(from, keys, to string) {
		last := strings.TrimSpace(keys[strings.LastIndex(keys, ",")+1:])
		edges[fmt.Sprintf("  %s }o--|| %s : %s\n", from, to, last)] = true
	}
	for _, f := range files {
		raw, err := fs.ReadFile(sql, f)
		if err != nil {
			return "", err
		}
		up, _, _ := strings.Cut(string(raw), "-- +goose Down")
		up = comment.ReplaceAllString(up, "")
		for _, m := range create.FindAllStringSubmatch(up, -1) {
			columns[m[1]] = columnsOf(m[2])
			for _, k := range foreign.FindAllStringSubmatch(m[2], -1) {
				edge(m[1], k[1], k[2])
			}
		}
		for _, m := range alter.FindAllStringSubmatch(up, -1) {
			edge(m[1], m[2], m[3])
		}
		for _, m := range added.FindAllStringSubmatch(up, -1) {
			columns[m[1]]++
		}
		for _, m := range dropped.FindAllStringSubmatch(up, -1) {
			delete(columns, m[1])
		}
	}
	var b strings.Builder
	b.WriteString("```mermaid\nerDiagram\n")
	for _, e := range slices.Sorted(maps.Keys(edges)) {
		b.WriteString(e)
	}
	b.WriteString("```\n\n| rows of | key | tables (columns) |\n| --- | --- | --- |\n")
	for _, g := range []migrations.Group{migrations.Tenant, migrations.User, migrations.Claim, migrations.Reference, migrations.System} {
		var names []string
		for _, t := range slices.Sorted(maps.Keys(migrations.Tables)) {
			if migrations.Tables[t] != g {
				continue
			}
			if columns[t] == 0 {
				return "", fmt.Errorf("no migration creates app.%s in a form that this reads", t)
			}
			names = append(names, "`"+t+"` ("+strconv.Itoa(columns[t])+")")
		}
		key := "its own"
		if g.Key() != "" {
			key = "`" + g.Key() + "`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", g, key, strings.Join(names, ", "))
	}
	return b.String(), nil
}
