package pages

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDocumentsAreCurrent(t *testing.T) {
	t.Parallel()
	for _, name := range Files {
		have, want, err := Make("../..", name)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != string(want) {
			t.Errorf("%s is not what it is made of: make generate", name)
		}
		if !strings.Contains(string(want), "<!-- made: ") {
			t.Errorf("%s has no part that is made", name)
		}
	}
}

func TestCosts(t *testing.T) {
	t.Parallel()
	before := math.Inf(1)
	for _, n := range Sizes {
		total := 0.0
		for _, l := range Costs(n) {
			if l.USD <= 0 {
				t.Errorf("%s costs nothing for %.0f tenants", l.Name, n)
			}
			total += l.USD
		}
		if each := total / n; each >= before {
			t.Errorf("a tenant of %.0f costs %f, more than one of fewer", n, each)
		} else {
			before = each
		}
	}
	// By hand: 100 tenants are 2 million requests of 6 ms: 12,000 s × 0.000024, and a
	// quarter of half a GiB for as long.
	if got, want := Costs(100)[0].USD, 12_000*(0.000024+0.125*0.0000025); math.Abs(got-want) > 1e-9 {
		t.Errorf("functions cost %f, not %f", got, want)
	}
	if got := grouped(1234567.891, 2); got != "1,234,567.89" {
		t.Error(got)
	}
}

func TestDiagramNamesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	_, err := diagram(fstest.MapFS{"0001_a.sql": {Data: []byte("-- +goose Up\ncreate table app.plans (\n  id text\n);\n")}})
	if err == nil || !strings.Contains(err.Error(), "no migration creates") {
		t.Error(err)
	}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	list, err := readPrices(pricesFile)
	if err != nil {
		t.Fatal(err)
	}
	table := priceTable()
	for _, p := range list {
		said := "no: assumed"
		if p.Read != "" {
			said = p.Read
		}
		if !strings.Contains(table, "| "+p.Name+" | "+p.Unit+" | ") || !strings.Contains(table, p.Page+"> | "+said+" |") {
			t.Errorf("the table does not say what %s is", p.Key)
		}
	}
	for text, want := range map[string]string{
		"{": "prices.json",
		`[{"key":"a","name":"A","unit":"u","usd":1,"page":"p","since":"x"}]`:                                                    "since",
		`[{"key":"a","name":"A","unit":"u","usd":1}]`:                                                                           "page",
		`[{"key":"a","name":"A","unit":"u","usd":0,"page":"p"}]`:                                                                "nothing",
		`[{"key":"a","name":"A","unit":"u","usd":1,"page":"p","read":"May"}]`:                                                   "no day",
		`[{"key":"a","name":"A","unit":"u","usd":1,"page":"p"},{"key":"a","name":"B","unit":"u","usd":2,"page":"p","read":""}]`: "twice",
	} {
		if _, err := readPrices([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
