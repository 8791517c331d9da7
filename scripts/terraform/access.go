package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coditect/platform/scripts/deployables"
	"github.com/coditect/platform/scripts/linked"
)

// AccessFile says who may what, twice. Its functions are what each function's account
// ought to have: derived here from functions/functions.json and what each function
// links, and by modules/platform in its own way, which the tests of each environment
// compare. Its accounts are what the configuration binds, of everybody: [Granted]
// finds it, and [Planned] compares with what terraform plans. [Faults] holds the two
// together. Its openings are what the firewall lets in to the cluster, for those who
// compare it with what is in the cluster.
const AccessFile = "terraform/access.json"

// A Whole is the content of AccessFile.
type Whole struct {
	Functions map[string]Access  `json:"functions"`
	Accounts  map[string]Account `json:"accounts"`
	// Openings are by environment and by rule.
	Openings map[string]map[string]Opening `json:"openings"`
}

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
	// Who signs people in: it makes tokens and is asked by clients.
	if f.Kind == "http" && slices.Contains(f.Secrets, "signing-keys") {
		a.May = append(a.May, "administer Hydra")
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

// whole is the content of AccessFile as it ought to be.
func whole(root string) (Whole, error) {
	ought, err := Accesses(root)
	if err != nil {
		return Whole{}, err
	}
	granted, err := Granted(root)
	if err != nil {
		return Whole{}, err
	}
	openings, err := Openings(root)
	return Whole{ought, granted, openings}, err
}

// Faults are sentences about what the configuration grants beside AccessFile, beside
// what follows from the list of functions, or too far.
func Faults(root string) ([]string, error) {
	now, err := whole(root)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(root, AccessFile))
	if err != nil {
		return nil, err
	}
	var written Whole
	if err := json.Unmarshal(raw, &written); err != nil {
		return nil, fmt.Errorf("%s: %w", AccessFile, err)
	}
	list, err := deployables.Load(root)
	if err != nil {
		return nil, err
	}
	return slices.Concat(differences(now.Accounts, written.Accounts), disagreements(list, now), Overmighty(now.Accounts, Strongs)), nil
}

// disagreements are sentences about functions' accounts that are bound to something
// else than follows from the list, and about who may call what.
func disagreements(list []deployables.Function, w Whole) []string {
	var queues, topics, relays, out []string
	rotated := map[string][]string{}
	for _, f := range list {
		if f.Queue != nil {
			queues = append(queues, "queue "+f.Queue.Name)
		}
		if f.Topic != "" && !slices.Contains(topics, "topic "+f.Topic) {
			topics = append(topics, "topic "+f.Topic)
		}
		if slices.Contains(w.Functions[f.Name].May, "make tasks") {
			relays = append(relays, "service "+f.Name)
		}
		for _, s := range f.Secrets {
			rotated[f.Name] = append(rotated[f.Name], "secret "+s)
		}
	}
	calls := map[string]Account{"allUsers": {May: map[string][]string{"roles/run.invoker": {"service router"}}}}
	call := func(who, what string) {
		if calls[who].May == nil {
			calls[who] = Account{May: map[string][]string{}}
		}
		calls[who].May["roles/run.invoker"] = append(calls[who].May["roles/run.invoker"], what)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Functions)) {
		a := w.Functions[name]
		ought := Account{May: map[string][]string{}}
		for _, s := range a.Secrets {
			ought.May["roles/secretmanager.secretAccessor"] = append(ought.May["roles/secretmanager.secretAccessor"], "secret "+s)
		}
		for _, may := range a.May {
			switch may {
			case "use objects":
				ought.May["roles/storage.objectUser"] = []string{"bucket PROJECT-objects"}
				ought.May["roles/iam.serviceAccountTokenCreator"] = []string{"account " + a.Account}
			case "make tasks":
				ought.May["roles/cloudtasks.enqueuer"] = queues
				ought.May["roles/iam.serviceAccountUser"] = []string{"account " + callers["cloudtasks"]}
			case "publish":
				ought.May["roles/pubsub.publisher"] = topics
			case "add versions of its keys":
				ought.May["roles/secretmanager.secretVersionAdder"] = rotated[name]
			case "call the relay":
				ought.May["roles/run.invoker"] = relays
			}
		}
		out = append(out, beyond(a.Account, w.Accounts[a.Account], ought, "%s may %s on %s, which does not follow from "+deployables.ListFile)...)
		out = append(out, beyond(a.Account, ought, w.Accounts[a.Account], "%s needs %s on %s, and nothing grants it")...)
		for _, who := range a.Callers {
			call(who, "service "+name)
		}
		call("smoke-test", "service "+name)
	}
	for _, who := range slices.Sorted(maps.Keys(calls)) {
		is := Account{May: map[string][]string{"roles/run.invoker": w.Accounts[who].May["roles/run.invoker"]}}
		out = append(out, beyond(who, is, calls[who], "%s may %s on %s, which does not follow from "+deployables.ListFile)...)
		out = append(out, beyond(who, calls[who], is, "%s needs %s on %s, and nothing grants it")...)
	}
	for _, who := range slices.Sorted(maps.Keys(w.Accounts)) {
		if _, known := calls[who]; !known && !strings.HasPrefix(who, "fn-") && len(w.Accounts[who].May["roles/run.invoker"]) > 0 {
			out = append(out, who+" may call "+strings.Join(w.Accounts[who].May["roles/run.invoker"], ", ")+", which does not follow from "+deployables.ListFile)
		}
	}
	return out
}

// A table stands in the page between its beginning and the end.
type table struct{ begin, text string }

const tableEnd = "<!-- end -->"

// matrix is the page with its tables made anew.
func matrix(page []byte, w Whole) ([]byte, error) {
	var functions, others, reasons strings.Builder
	functions.WriteString("| account | may | reads the secrets | is called by |\n| --- | --- | --- | --- |\n")
	ours := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(w.Functions)) {
		a := w.Functions[name]
		ours[a.Account] = true
		fmt.Fprintf(&functions, "| %#q | %s | %s | %s |\n", a.Account, strings.Join(a.May, ", "), quoted(a.Secrets), quoted(a.Callers))
	}
	others.WriteString("| who | is | has the roles |\n| --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(w.Accounts)) {
		if a := w.Accounts[name]; !ours[name] {
			is := a.Is
			if len(a.In) > 0 {
				is = strings.TrimPrefix(is+"; in "+strings.Join(a.In, ", ")+" only", "; ")
			}
			fmt.Fprintf(&others, "| %#q | %s | %s |\n", name, is, roles(a))
		}
	}
	reasons.WriteString("| who | has | on | because of |\n| --- | --- | --- | --- |\n")
	for _, s := range Strongs {
		fmt.Fprintf(&reasons, "| %#q | %#q | %s | %s |\n", s.Account, strings.TrimPrefix(s.Role, "roles/"), s.On, s.Because)
	}
	for _, t := range []table{
		{"<!-- From functions/functions.json and deps.txt, by `make generate`. -->\n", functions.String()},
		{"<!-- From terraform/, by `make generate`. -->\n", others.String()},
		{"<!-- From scripts/terraform/grants.go, by `make generate`. -->\n", reasons.String()},
	} {
		above, rest, begun := bytes.Cut(page, []byte(t.begin))
		_, below, ended := bytes.Cut(rest, []byte(tableEnd))
		if !begun || !ended {
			return nil, fmt.Errorf("%s has no place for a table of the matrix, between %q and %q", Page, t.begin, tableEnd)
		}
		page = slices.Concat(above, []byte(t.begin+t.text+tableEnd), below)
	}
	return page, nil
}

// roles are a cell: roles that are had on the same things stand together.
func roles(a Account) string {
	same := map[string][]string{} // on what → roles
	for role, on := range a.May {
		same[things(on)] = append(same[things(on)], strings.TrimPrefix(role, "roles/"))
	}
	var out []string
	for on, roles := range same {
		slices.Sort(roles)
		out = append(out, quoted(roles)+" on "+on)
	}
	slices.Sort(out)
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, "; ")
}

// things are named by their kind, once: secrets `a`, `b`.
func things(on []string) string {
	var out []string
	last := ""
	for _, o := range on {
		kind, name, _ := strings.Cut(o, " ")
		if kind == "the" {
			out = append(out, o)
			continue
		}
		name, rest, in := strings.Cut(name, " in ")
		text := "`" + name + "`"
		if in {
			text += " (" + rest + ")"
		}
		if kind != last {
			text = kind + " " + text
		}
		last = kind
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = "`" + w + "`"
	}
	return strings.Join(out, ", ")
}

// Matrix brings AccessFile and the page's tables up to date, or only says which
// are not.
func Matrix(root string, write bool) ([]string, error) {
	all, err := whole(root)
	if err != nil {
		return nil, err
	}
	file, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return nil, err
	}
	file = append(file, '\n')
	page, err := os.ReadFile(filepath.Join(root, Page))
	if err != nil {
		return nil, err
	}
	tables, err := matrix(page, all)
	if err != nil {
		return nil, err
	}
	var changed []string
	for name, want := range map[string][]byte{AccessFile: file, Page: tables} {
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
