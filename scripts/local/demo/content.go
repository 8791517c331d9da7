package demo

import (
	"fmt"
	"strings"
	"time"
)

// What the demonstration is called. The password is known to everybody who
// reads this, so the command refuses platforms that strangers reach.
const (
	Organization = "Coditect Demo"
	Subdomain    = "demo-coditect"
	Password     = "marble-kayak-4711"
	plan         = "enterprise"
)

type person struct{ first, last, role string }

func (p person) email() string { return strings.ToLower(p.first) + "@demo.example.com" }

// people are who is in the organization; the first owns it.
var people = []person{
	{"Olivia", "Berg", "owner"},
	{"Adam", "Novak", "admin"},
	{"Mina", "Sato", "manager"},
	{"Diego", "Ruiz", "developer"},
	{"Freya", "Lind", "developer"},
	{"Kofi", "Mensah", "member"},
	{"Priya", "Nair", "member"},
	{"Viktor", "Hale", "viewer"},
}

const (
	leads   = 3 // the first so many people create projects
	writers = 7 // and the first so many tasks
)

func lead(project int) int { return project % leads }

var projectNames = []string{
	"Mobile app", "Customer portal", "Payments", "Search", "Onboarding", "Data warehouse", "Help centre", "Partner API", "Notifications", "Design system",
	"Single sign-on", "Reporting", "Website relaunch", "Observability", "Data retention", "Translations", "Office move", "Annual audit", "Hiring", "Capacity 2027",
}

func projectOf(i int) (name, description string) {
	name = projectNames[i%len(projectNames)]
	if round := i / len(projectNames); round > 0 {
		name = fmt.Sprintf("%s, phase %d", name, round+1)
	}
	return name, "Everything that belongs to " + strings.ToLower(name[:1]) + name[1:] + ", from the first idea to the day it is in use."
}

var (
	acts = []string{
		"Review", "Draft", "Measure", "Fix", "Document", "Test", "Simplify", "Plan", "Present", "Replace", "Automate", "Estimate", "Clean up", "Agree on", "Ship", "Monitor",
	}
	things = []string{
		"the sign-in page", "error messages", "the import of contacts", "the weekly report", "access rights", "load times", "the invoice layout", "the release notes",
		"backup and restore", "the price table", "keyboard shortcuts", "the audit trail", "the welcome mail", "dark mode", "the mobile menu", "the export to spreadsheets",
		"search results", "the cancellation flow", "alerts at night", "the supplier contract", "empty states", "time zones", "test accounts", "the road map",
	}
)

type task struct {
	title, status, priority string
	author, assignee        int  // people; -1 for nobody
	due                     *int // days after the project began
}

// taskOf is the k-th task of a project. It depends on nothing but its place, so
// that every run means the same tasks. Titles are unique within a project: both
// steps are coprime to their lists, so all pairs come before the first repeats.
func taskOf(project, k int) task {
	pairs := len(acts) * len(things)
	at := (k*101 + project*37) % pairs // 101 is coprime to 384
	t := task{title: acts[at%len(acts)] + " " + things[at/len(acts)], author: (project + k*5) % writers, assignee: -1}
	if round := k / pairs; round > 0 {
		t.title = fmt.Sprintf("%s, round %d", t.title, round+1)
	}
	dice := mix(project, k)
	t.status = []string{"todo", "todo", "todo", "in_progress", "in_progress", "done", "done", "done", "done", "todo"}[dice%10]
	t.priority = []string{"low", "medium", "medium", "medium", "high"}[dice/10%5]
	if dice/50%8 > 0 { // one in eight is nobody's
		t.assignee = dice / 400 % writers
	}
	if dice/3000%4 > 0 { // one in four is due on no day
		days := dice/12000%120 - 20
		t.due = &days
	}
	return t
}

// mix scatters a task's place (the finaliser of splitmix64, Steele, Lea and
// Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
func mix(project, k int) int {
	x := uint64(project)<<32 | uint64(uint32(k))
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) >> 2)
}

func (t task) body(begun time.Time, users []string) map[string]any {
	body := map[string]any{"title": t.title, "status": t.status, "priority": t.priority}
	if t.assignee >= 0 {
		body["assignee_id"] = users[t.assignee]
	}
	if t.due != nil {
		body["due_date"] = begun.UTC().AddDate(0, 0, *t.due).Format(time.DateOnly)
	}
	return body
}
