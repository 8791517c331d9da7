package capture

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/coditect/platform/shared/ids"
)

// Parameter is where the value of a parameter comes from, each time the
// statement is sent. One of the first three holds; otherwise it is Text.
type Parameter struct {
	Null  bool   `json:"null,omitempty"`
	Name  string `json:"name,omitempty"`  // of a value that a request decides
	Fresh int    `json:"fresh,omitempty"` // from 1: an id made anew; the same number is the same id
	Text  string `json:"text,omitempty"`
}

// Statement is one of an exchange, the transaction's begin and end included.
type Statement struct {
	SQL        string      `json:"sql"`
	Parameters []Parameter `json:"parameters,omitempty"`
}

// Exchange is all that an operation sends, in its order.
type Exchange []Statement

// ErrBinary says that parameters were sent in a form that cannot be read here.
var ErrBinary = errors.New("the statement's parameters are in binary form")

// ErrNothing says that nothing passed since the last time.
var ErrNothing = errors.New("the operation sent no statement")

// Take makes an Exchange of what passed since the last Take. known are the
// values that the request decided, by name; every other UUID was made by the
// operation.
func (r *Recorder) Take(known map[string]string) (Exchange, error) {
	names := map[string]string{}
	for name, value := range known {
		names[value] = name
	}
	fresh := map[string]int{}
	var out Exchange
	for _, s := range r.take() {
		if s.binary {
			return nil, fmt.Errorf("%w: %s", ErrBinary, s.sql)
		}
		st := Statement{SQL: s.sql}
		for _, raw := range s.parameters {
			p := Parameter{Text: string(raw)}
			if raw == nil {
				p = Parameter{Null: true}
			} else if name, ok := names[p.Text]; ok {
				p = Parameter{Name: name}
			} else if _, err := uuid.Parse(p.Text); err == nil {
				if fresh[p.Text] == 0 {
					fresh[p.Text] = len(fresh) + 1
				}
				p = Parameter{Fresh: fresh[p.Text]}
			}
			st.Parameters = append(st.Parameters, p)
		}
		out = append(out, st)
	}
	if len(out) == 0 {
		return nil, ErrNothing
	}
	return out, nil
}

// Arguments are the parameters' values for one sending, statement by
// statement: texts, or nil.
func (e Exchange) Arguments(known map[string]string) [][]any {
	fresh := map[int]string{}
	out := make([][]any, len(e))
	for i, s := range e {
		args := make([]any, len(s.Parameters))
		for j, p := range s.Parameters {
			switch {
			case p.Null:
			case p.Name != "":
				args[j] = known[p.Name]
			case p.Fresh > 0:
				if fresh[p.Fresh] == "" {
					fresh[p.Fresh] = ids.New().String()
				}
				args[j] = fresh[p.Fresh]
			default:
				args[j] = p.Text
			}
		}
		out[i] = args
	}
	return out
}

var placeholder = regexp.MustCompile(`\$\d+`)

// Script is the exchange as a script for pgbench, in one pipeline. variable
// gives the name of pgbench's variable for a value that a request decides;
// literals are added to for every other value. Ids that are made anew are the
// server's gen_random_uuid(): pgbench cannot make any.
func (e Exchange) Script(variable func(name string) string, literals map[string]string) string {
	var b strings.Builder
	b.WriteString("\\startpipeline\n")
	for _, s := range e {
		sql := placeholder.ReplaceAllStringFunc(s.SQL, func(at string) string {
			n, err := strconv.Atoi(at[1:])
			if err != nil || n < 1 || n > len(s.Parameters) {
				return at
			}
			switch p := s.Parameters[n-1]; {
			case p.Null:
				return "null"
			case p.Name != "":
				return ":" + variable(p.Name)
			case p.Fresh > 0:
				return "gen_random_uuid()"
			default:
				return ":" + literal(literals, p.Text)
			}
		})
		b.WriteString(strings.Join(strings.Fields(sql), " ") + ";\n")
	}
	b.WriteString("\\endpipeline\n")
	return b.String()
}

// literal finds or makes the variable of a value.
func literal(literals map[string]string, value string) string {
	for name, v := range literals {
		if v == value {
			return name
		}
	}
	name := fmt.Sprintf("literal_%d", len(literals))
	literals[name] = value
	return name
}
