package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

// AccessFile says what each function's account may. It is derived here from
// functions/functions.json and what each function links, and by modules/platform
// in its own way: the tests of each environment compare what is planned with it.
const AccessFile = "terraform/access.json"

// An Access is what the account of a function may beyond being called.
type Access struct {
	Account string   `json:"account"`
	Callers []string `json:"callers"` // accounts
	May     []string `json:"may"`
	Secrets []string `json:"secrets"` // that it reads
}

// rights are what a function may because it links a package of shared/.
var rights = []struct{ links, may string }{
	{"shared/blob", "use objects"},
	{"shared/queue/tasks", "make tasks"},
	{"shared/queue/events", "publish"},
	{"shared/secrets/manager", "add versions of its keys"},
}

// callers are the accounts of the kinds of caller.
var callers = map[string]string{
	"router": "router", "cloudtasks": "push-cloudtasks", "pubsub": "push-pubsub", "scheduler": "push-scheduler", "everyone": "allUsers",
}

// Accesses is what each function may.
func Accesses(root string) (map[string]Access, error) {
	list, err := deployables.Load(root)
	if err != nil {
		return nil, err
	}
	out := map[string]Access{}
	for _, f := range list {
		raw, err := os.ReadFile(filepath.Join(root, f.Folder, linked.File))
		if err != nil {
			return nil, err
		}
		links := func(name string) bool {
			return slices.Contains(strings.Split(string(raw), "\n"), deployables.Module+"/"+name)
		}
		out[f.Name] = access(f, links)
	}
	return out, nil
}

func access(f deployables.Function, links func(string) bool) Access {
	a := Access{Account: "fn-" + f.Name, Callers: []string{}, May: []string{}, Secrets: slices.Clone(f.Secrets)}
	for _, i := range f.Invokers {
		a.Callers = append(a.Callers, callers[i])
	}
	for _, r := range rights {
		if links(r.links) {
			a.May = append(a.May, r.may)
		}
	}
	// The rotation reads the hop's key to renew it, and leaves no messages.
	if links("shared/nudge") && slices.Contains(f.Secrets, "hop-key") && !links("shared/secrets/manager") {
		a.May = append(a.May, "call the relay")
	}
	if f.Database != "none" {
		a.Secrets = append(a.Secrets, "database-ca")
	}
	if f.Database == "app" || f.Database == "both" {
		a.Secrets = append(a.Secrets, "database-url")
	}
	if f.Database == "system" || f.Database == "both" {
		a.Secrets = append(a.Secrets, "system-database-url")
	}
	if links("shared/cache") {
		a.Secrets = append(a.Secrets, "redis-ca", "redis-url")
	}
	slices.Sort(a.Callers)
	slices.Sort(a.May)
	slices.Sort(a.Secrets)
	a.Secrets = slices.Compact(a.Secrets)
	return a
}

// accessJSON is the content of AccessFile.
func accessJSON(all map[string]Access) ([]byte, error) {
	text, err := json.MarshalIndent(all, "", "  ")
	return append(text, '\n'), err
}

// The matrix stands between these in the page.
const (
	matrixBegin = "<!-- From functions/functions.json and deps.txt, by `make generate`. -->\n"
	matrixEnd   = "<!-- end -->"
)

// matrix is the page with its table made anew.
func matrix(page []byte, all map[string]Access) ([]byte, error) {
	above, rest, begun := bytes.Cut(page, []byte(matrixBegin))
	_, below, ended := bytes.Cut(rest, []byte(matrixEnd))
	if !begun || !ended {
		return nil, fmt.Errorf("%s has no place for the matrix, between %q and %q", Page, matrixBegin, matrixEnd)
	}
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.Write(above)
	b.WriteString(matrixBegin + "| account | may | reads the secrets | is called by |\n| --- | --- | --- | --- |\n")
	for _, name := range names {
		a := all[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", a.Account, strings.Join(a.May, ", "), quoted(a.Secrets), quoted(a.Callers))
	}
	b.WriteString(matrixEnd)
	b.Write(below)
	return b.Bytes(), nil
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "`" + w + "`"
	}
	return strings.Join(out, ", ")
}

// Matrix brings AccessFile and the page's table up to date, or only says which
// are not.
func Matrix(root string, write bool) ([]string, error) {
	all, err := Accesses(root)
	if err != nil {
		return nil, err
	}
	file, err := accessJSON(all)
	if err != nil {
		return nil, err
	}
	page, err := os.ReadFile(filepath.Join(root, Page))
	if err != nil {
		return nil, err
	}
	table, err := matrix(page, all)
	if err != nil {
		return nil, err
	}
	var changed []string
	for name, want := range map[string][]byte{AccessFile: file, Page: table} {
		have, err := os.ReadFile(filepath.Join(root, name))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		if bytes.Equal(have, want) {
			continue
		}
		changed = append(changed, name)
		if write {
			if err := os.WriteFile(filepath.Join(root, name), want, 0o600); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(changed)
	return changed, nil
}
