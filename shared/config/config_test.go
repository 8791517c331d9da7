package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

type database struct {
	URL     Secret        `env:"DATABASE_URL,required"`
	Conns   int           `env:"DATABASE_CONNS" envDefault:"10"`
	Timeout time.Duration `env:"DATABASE_TIMEOUT" envDefault:"5s"`
}

func (d database) Validate() error {
	if d.Conns < 1 {
		return Invalid("DATABASE_CONNS", "must be at least 1")
	}
	return nil
}

type settings struct {
	Database database
	Named    struct {
		Base url.URL `env:"BASE_URL" envDefault:"http://localhost:8080"`
	}
	Origins []string `env:"ORIGINS" envSeparator:","`
	Debug   bool     `env:"DEBUG"`
	Ratio   float64  `env:"RATIO"`
	Port    uint16   `env:"PORT" envDefault:"8080"`
}

func (s *settings) Validate() error {
	var faults []error
	if s.Port >= 32768 {
		faults = append(faults, Invalid("PORT", "must be below 32768"))
	}
	for _, o := range s.Origins {
		if !strings.HasPrefix(o, "http") {
			faults = append(faults, Invalid("ORIGINS", "must hold http or https origins"))
		}
	}
	return errors.Join(faults...)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	got, err := Load[settings](Map(map[string]string{
		"DATABASE_URL": "postgres://u:hunter2@h/db", "DATABASE_TIMEOUT": "250ms", "ORIGINS": "http://a,http://b",
		"BASE_URL": "https://api.example.com", "PORT": "",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Database.URL.Reveal() != "postgres://u:hunter2@h/db" || got.Database.Conns != 10 ||
		got.Database.Timeout != 250*time.Millisecond || len(got.Origins) != 2 ||
		got.Named.Base.Host != "api.example.com" || got.Port != 8080 {
		t.Errorf("loaded %+v", got)
	}
}

func TestLoadNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := Load[settings](Map(map[string]string{
		"DATABASE_CONNS": "0", "DATABASE_TIMEOUT": "hunter2", "DEBUG": "hunter2", "RATIO": "hunter2",
		"ORIGINS": "hunter2", "PORT": "40000", "BASE_URL": "http://[hunter2",
	}))
	var all *Error
	if !errors.As(err, &all) {
		t.Fatalf("got %v, want *Error", err)
	}
	want := map[string]string{
		"DATABASE_URL":     "is required",
		"DATABASE_CONNS":   "must be at least 1",
		"DATABASE_TIMEOUT": "is not a duration such as 30s or 5m",
		"DEBUG":            "is not true or false",
		"RATIO":            "is not a number",
		"ORIGINS":          "must hold http or https origins",
		"PORT":             "must be below 32768",
		"BASE_URL":         "is not a URL",
	}
	for _, f := range all.Faults {
		if want[f.Name] != f.Reason {
			t.Errorf("%s %s; want %q", f.Name, f.Reason, want[f.Name])
		}
		delete(want, f.Name)
	}
	if len(want) > 0 {
		t.Errorf("not named: %v", want)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error quotes a value: %v", err)
	}
	var one Fault
	if !errors.As(err, &one) {
		t.Error("errors.As finds no Fault")
	}
}

func TestParseFaultIsNotReportedTwice(t *testing.T) {
	t.Parallel()
	_, err := Load[settings](Map(map[string]string{"DATABASE_URL": "x", "DATABASE_CONNS": "many"}))
	if got, want := fmt.Sprint(err), "configuration refused: DATABASE_CONNS is not a whole number"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNumbersOutOfRange(t *testing.T) {
	t.Parallel()
	type narrow struct {
		Port uint16            `env:"PORT"`
		Pair map[string]string `env:"PAIR"`
		Own  *int              `env:"OWN"`
	}
	_, err := Load[narrow](Map(map[string]string{"PORT": "-1", "PAIR": "no-colon", "OWN": "x"}))
	for _, want := range []string{"PORT is not a whole number from 0", "PAIR is not", "OWN is not a whole number"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}

func TestOtherErrorsOfValidateAreKept(t *testing.T) {
	t.Parallel()
	_, err := Load[refusing](Map(nil))
	if err == nil || !strings.Contains(err.Error(), "two addresses of one kind") {
		t.Errorf("got %v", err)
	}
}

type refusing struct {
	A string `env:"A"`
}

func (refusing) Validate() error { return errors.New("two addresses of one kind") }

func TestWrongStructIsAnError(t *testing.T) {
	t.Parallel()
	type bad struct {
		N int `env:"N" envDefault:"ten"`
	}
	if _, err := Load[bad](Map(nil)); err == nil {
		t.Error("a default that does not parse was accepted")
	}
	if _, err := Load[int](Map(nil)); err == nil {
		t.Error("a number was accepted as a configuration")
	}
}

func TestEnvironReadsTheProcess(t *testing.T) {
	t.Setenv("CODITECT_CONFIG_TEST", "yes")
	if v, ok := Environ("CODITECT_CONFIG_TEST"); !ok || v != "yes" {
		t.Errorf("got %q %v", v, ok)
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s := Secret("hunter2")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "s", s, "in", struct{ S Secret }{s})
	asJSON, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		all += fmt.Sprintf(verb, s) + fmt.Sprintf(verb, struct{ S Secret }{s})
	}
	for _, leak := range []string{"hunter2", "68756e74657232", "68756E74657232"} {
		if strings.Contains(all, leak) {
			t.Errorf("printed: %s", all)
		}
	}
	if !s.IsSet() || Secret("").IsSet() || Secret("").String() != "" {
		t.Error("an empty secret looks set")
	}
}
