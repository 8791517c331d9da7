// Package config turns the environment into a struct, once, and refuses the
// whole of it if any part is wrong.
//
// Each package that needs settings declares a struct with `env` tags
// (github.com/caarlos0/env) and, for rules that tags cannot say, a method
// Validate() error; a function composes those structs into its own and calls
// [Load]. Nothing else in the product reads the environment: to add a variable,
// add a tagged field to the struct of the package that uses it.
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/caarlos0/env/v11"
)

// A Lookup answers what a variable is set to; [os.LookupEnv] is one.
type Lookup func(name string) (value string, set bool)

// Environ looks a variable up in the environment of the process.
func Environ(name string) (string, bool) { return os.LookupEnv(name) }

// Map is a Lookup over fixed values, for programs that make an environment for
// a part of themselves.
func Map(values map[string]string) Lookup {
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

// Load fills a T from lookup and validates the whole of it. T is a struct of
// tagged fields and nested structs; an empty variable counts as unset, since
// deployment tools write `NAME=` for a value they do not have. The error is a
// [*Error] that names every variable at fault and quotes no value, because a
// value in the wrong place is often a secret.
func Load[T any](lookup Lookup) (T, error) {
	var cfg, none T
	params, err := env.GetFieldParams(&cfg)
	if err != nil {
		return none, fmt.Errorf("config: %T cannot be loaded: %w", cfg, err)
	}
	values := make(map[string]string, len(params))
	for _, p := range params {
		if v, set := lookup(p.Key); set && v != "" {
			values[p.Key] = v
		}
	}

	var found faults
	if err := parse(&cfg, values); err != nil {
		found.add(unset(err)...)
		found.add(unparsed[T](values)...)
		if len(found.list) == 0 {
			return none, fmt.Errorf("config: a default or a tag of %T is wrong: %w", cfg, err)
		}
	}
	found.add(validate(reflect.ValueOf(&cfg).Elem())...)
	if len(found.list) > 0 {
		return none, &Error{Faults: found.list}
	}
	return cfg, nil
}

func parse(into any, values map[string]string) error {
	return env.ParseWithOptions(into, env.Options{Environment: values})
}

// unset collects the required variables that are missing.
func unset(err error) []Fault {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil
	}
	var out []Fault
	for _, e := range all.Errors {
		var missing env.VarIsNotSetError
		var empty env.EmptyVarError
		switch {
		case errors.As(e, &missing):
			out = append(out, Fault{Name: missing.Key, Reason: "is required"})
		case errors.As(e, &empty):
			out = append(out, Fault{Name: empty.Key, Reason: "is required"})
		}
	}
	return out
}

// unparsed finds the variables whose text does not fit their field. The
// library's errors name the field and quote the value, where an operator needs
// the variable and no value; so each variable is tried alone.
func unparsed[T any](values map[string]string) []Fault {
	var out []Fault
	for name, value := range values {
		var scratch T
		if want, bad := parseFault(parse(&scratch, map[string]string{name: value})); bad {
			out = append(out, Fault{Name: name, Reason: "is not " + want})
		}
	}
	return out
}

func parseFault(err error) (want string, bad bool) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return "", false
	}
	for _, e := range all.Errors {
		var parse env.ParseError
		var value env.ParseValueError
		switch {
		case errors.As(e, &parse):
			return describe(parse.Type), true
		case errors.As(e, &value):
			return "a value of the expected form", true
		}
	}
	return "", false
}

func describe(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.String() {
	case "time.Duration":
		return "a duration such as 30s or 5m"
	case "url.URL":
		return "a URL"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Map:
		return "a list of the expected form"
	}
	return "a value of the expected form"
}
