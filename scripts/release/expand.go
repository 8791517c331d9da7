package release

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const migrationsDir = "migrations/sql"

// contract is the line by which a migration says that it takes something away
// that the release before it no longer uses, and since which commit that is so.
var contract = regexp.MustCompile(`(?m)^-- contract: ([0-9a-f]{7,40}) (\S.*)$`)

// contractions are what the running release does not survive: it reads and writes
// the schema of before while the new one is already there.
var contractions = []struct {
	what *regexp.Regexp
	why  string
}{
	{regexp.MustCompile(`\balter column \w+ drop default\b`), "the running release leaves the column to its default"},
	{regexp.MustCompile(`\bdrop (table|view|column|function|type|schema)\b`), "takes away what the running release may use"},
	{regexp.MustCompile(`\balter table\b.* drop (?:column )?(?:if exists )?\w+`), "takes away what the running release may use"},
	{regexp.MustCompile(`\brename (to|column|constraint)\b`), "the running release asks by the old name"},
	{regexp.MustCompile(`\balter table\b.* rename \w+ to\b`), "the running release asks by the old name"},
	{regexp.MustCompile(`\balter column \w+ (set data )?type\b`), "the running release reads the old type"},
	{regexp.MustCompile(`\balter column \w+ set not null\b`), "the running release may write null"},
	{regexp.MustCompile(`\brevoke\b`), "takes a right that the running release may use"},
	{regexp.MustCompile(`\btruncate\b`), "deletes rows that the running release serves"},
}

var (
	comments  = regexp.MustCompile(`(?m)--.*$`)
	spaces    = regexp.MustCompile(`\s+`)
	harmless  = regexp.MustCompile(`drop (constraint|not null|index|trigger|policy)\b`)
	newColumn = regexp.MustCompile(`add column (?:if not exists )?\w+ [^,]*not null`)
	newTable  = regexp.MustCompile(`create table (?:if not exists )?([\w.]+)`)
	onTable   = regexp.MustCompile(`alter table (?:only )?(?:if exists )?([\w.]+)|truncate (?:table )?([\w.]+)`)
)

// Expands lists what the migrations after base, or all without one, do that the
// release that runs meanwhile does not survive. A deployment migrates first, so
// for some minutes, and after a roll back for longer, the code of before works on
// the schema of after.
func Expands(ctx context.Context, root, base string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, migrationsDir, "*.sql"))
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, file := range files {
		name := migrationsDir + "/" + filepath.Base(file)
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if base != "" {
			var old bytes.Buffer
			if git(ctx, root, &old, "show", base+":"+name) == nil {
				if !bytes.Equal(old.Bytes(), raw) {
					faults = append(faults, name+": was released and is another one now; write a new migration")
				}
				continue
			}
		}
		if m := contract.FindSubmatch(raw); m != nil {
			if base != "" && git(ctx, root, nil, "merge-base", "--is-ancestor", string(m[1]), base) != nil {
				faults = append(faults, fmt.Sprintf("%s: contracts what stopped being used in %s, which is not released yet: release that first", name, m[1]))
			}
			continue
		}
		for _, f := range contracts(string(raw)) {
			faults = append(faults, name+": "+f)
		}
	}
	return faults, nil
}

// contracts lists the statements of a migration that take away.
func contracts(text string) []string {
	up, _, _ := strings.Cut(text, "-- +goose Down")
	fresh := map[string]bool{}
	var faults []string
	for _, s := range strings.Split(comments.ReplaceAllString(up, ""), ";\n") {
		s = strings.ToLower(strings.TrimSpace(spaces.ReplaceAllString(s, " ")))
		if m := newTable.FindStringSubmatch(s); m != nil {
			fresh[m[1]] = true
		}
		if m := onTable.FindStringSubmatch(s); m != nil && (fresh[m[1]] || m[1] == "" && fresh[m[2]]) {
			continue
		}
		bare := harmless.ReplaceAllString(s, "")
		at := slices.IndexFunc(contractions, func(c struct {
			what *regexp.Regexp
			why  string
		}) bool {
			return c.what.MatchString(bare)
		})
		switch {
		case at >= 0:
			faults = append(faults, contractions[at].why+": "+s)
		case newColumn.MatchString(s) && !strings.Contains(s, "default"):
			faults = append(faults, "the running release does not fill the new column: "+s)
		}
	}
	return faults
}
