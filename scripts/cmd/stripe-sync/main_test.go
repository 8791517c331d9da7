package main

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coditect/platform/shared/config"
	standin "github.com/coditect/platform/shared/standin/stripe"
)

func TestRun(t *testing.T) {
	t.Parallel()
	s, err := standin.New()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() { server.Close(); _ = s.Close() })
	vars := map[string]string{"STRIPE_API_URL": server.URL, "STRIPE_SECRET_KEY": standin.Key}
	for _, step := range []struct {
		args      []string
		out, said string
	}{
		{[]string{"-dry-run", "-webhook", "https://example.com/"}, "", "would create the price coditect_pro_month: 2900 usd a month"},
		{[]string{"-webhook", "https://example.com/"}, "whsec_", "create the webhook endpoint"},
		{[]string{"-webhook", "https://example.com/"}, "", "nothing differs"},
	} {
		var out, said bytes.Buffer
		if err := run(t.Context(), config.Map(vars), step.args, &out, &said); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(out.String(), step.out) || step.out == "" && out.Len() > 0 || !strings.Contains(said.String(), step.said) {
			t.Errorf("%v: %q, %q", step.args, &out, &said)
		}
	}
	for name, c := range map[string]struct {
		vars map[string]string
		args []string
	}{"no key": {map[string]string{}, nil}, "an argument": {vars, []string{"x"}}, "a flag": {vars, []string{"-x"}}, "no time": {map[string]string{"STRIPE_TIMEOUT": "0s"}, nil}} {
		var out, said bytes.Buffer
		if err := run(t.Context(), config.Map(c.vars), c.args, &out, &said); err == nil || strings.Contains(err.Error(), standin.Key) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
