package config

import (
	"errors"
	"reflect"
	"slices"
	"strings"
)

// A Fault is what is wrong with one variable. Reason continues the sentence
// that Name begins, and never holds the value.
type Fault struct {
	Name   string
	Reason string
}

// Invalid makes the fault that a Validate method returns; join several with
// [errors.Join].
func Invalid(name, reason string) error { return Fault{Name: name, Reason: reason} }

func (f Fault) Error() string { return f.Name + " " + f.Reason }

// Error lists everything that is wrong with a configuration, by name of the
// variable.
type Error struct{ Faults []Fault }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("configuration refused:")
	for i, f := range e.Faults {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteByte(' ')
		b.WriteString(f.Error())
	}
	return b.String()
}

// Unwrap lets errors.As find a single Fault.
func (e *Error) Unwrap() []error {
	out := make([]error, len(e.Faults))
	for i, f := range e.Faults {
		out[i] = f
	}
	return out
}

// A Validator is a struct with rules of its own. Validate returns [Invalid]
// faults, joined; it runs after every field is set.
type Validator interface{ Validate() error }

// faults keeps one fault per variable: a field that did not parse is zero, so
// that the rules would complain about it a second time and mislead.
type faults struct {
	list []Fault
	seen map[string]bool
}

func (f *faults) add(more ...Fault) {
	if f.seen == nil {
		f.seen = make(map[string]bool)
	}
	slices.SortFunc(more, func(a, b Fault) int { return strings.Compare(a.Name, b.Name) })
	for _, one := range more {
		if !f.seen[one.Name] {
			f.seen[one.Name] = true
			f.list = append(f.list, one)
		}
	}
}

// validate asks v and every struct inside it, the innermost first.
func validate(v reflect.Value) []Fault {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	var out []Fault
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			out = append(out, validate(v.Field(i))...)
		}
	}
	if v.CanAddr() {
		if rules, ok := v.Addr().Interface().(Validator); ok {
			out = append(out, flatten(rules.Validate())...)
		}
	}
	return out
}

func flatten(err error) []Fault {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []Fault
		for _, e := range many.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	var one Fault
	if errors.As(err, &one) {
		return []Fault{one}
	}
	return []Fault{{Name: "configuration:", Reason: err.Error()}}
}
