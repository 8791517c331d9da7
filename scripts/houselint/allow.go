package houselint

import (
	"slices"
	"strings"
)

const directive = "//house:allow"

type exception struct {
	line int
	rule string
	used bool
}

// allow takes the findings away that the file excuses with a reason, and adds
// those about its excuses.
func (f *file) allow() []Finding {
	var exceptions []*exception
	f.rule = "exception"
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			text, ok := strings.CutPrefix(c.Text, directive)
			if !ok {
				continue
			}
			text, _, _ = strings.Cut(text, "//") // a comment within the comment is no reason
			rule, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
			switch {
			case !slices.ContainsFunc(rules, func(r Rule) bool { return r.Name == rule }):
				f.report(c.Pos(), "there is no rule %q to make an exception from", rule)
			case strings.TrimSpace(reason) == "":
				f.report(c.Pos(), "an exception from %s without a reason", rule)
			default:
				exceptions = append(exceptions, &exception{line: f.set.Position(c.Pos()).Line, rule: rule})
			}
		}
	}
	kept := slices.DeleteFunc(f.found, func(found Finding) bool {
		for _, e := range exceptions {
			if e.rule == found.Rule && (e.line == found.Line || e.line == found.Line-1) {
				e.used = true
				return true
			}
		}
		return false
	})
	for _, e := range exceptions {
		if !e.used {
			kept = append(kept, Finding{File: f.path, Line: e.line, Rule: "exception", Message: "nothing needs this exception from " + e.rule})
		}
	}
	return kept
}
