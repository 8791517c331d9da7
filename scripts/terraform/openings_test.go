package terraform

import (
	"reflect"
	"strings"
	"testing"
)

func TestOpenings(t *testing.T) {
	t.Parallel()
	rule := func(says, allow string) string {
		return "resource \"google_compute_firewall\" \"this\" {\n  name = \"r\"\n  direction = \"INGRESS\"\n" + says + "\n" + allow + "\n}\n"
	}
	const (
		ours  = "  source_ranges = [\"10.0.0.0/20\"]\n  target_tags = [\"cluster\", \"database\"]"
		ports = "  allow {\n    protocol = \"tcp\"\n    ports = [\"6432\"]\n  }"
	)
	opened := map[string]Opening{"r": {[]string{"6432"}, []string{"10.0.0.0/20"}}}
	for name, c := range map[string]struct {
		text string
		want map[string]Opening
		err  string
	}{
		"for the cluster":         {rule(ours, ports), opened, ""},
		"for all machines":        {rule("  source_ranges = [\"10.0.0.0/20\"]", ports), opened, ""},
		"several kinds":           {rule(ours, ports+"\n"+strings.Replace(ports, "6432", "53", 1)), map[string]Opening{"r": {[]string{"6432", "53"}, []string{"10.0.0.0/20"}}}, ""},
		"for others":              {rule("  source_ranges = [\"10.0.0.0/20\"]\n  target_tags = [\"database\"]", ports), map[string]Opening{}, ""},
		"out of it":               {strings.Replace(rule(ours, ports), "INGRESS", "EGRESS", 1), map[string]Opening{}, ""},
		"what is denied":          {rule(ours, "  deny {\n    protocol = \"all\"\n  }"), map[string]Opening{}, ""},
		"from nowhere in words":   {rule("  target_tags = [\"cluster\"]", ports), nil, "says nothing of source_ranges"},
		"every port":              {rule(ours, "  allow {\n    protocol = \"tcp\"\n  }"), nil, "opens every port"},
		"a range that is unknown": {rule("  source_ranges = [google_compute_subnetwork.s.gateway_address]", ports) + "resource \"google_compute_subnetwork\" \"s\" {\n  name = \"s\"\n}\n", nil, "source_ranges is not known"},
		"tags that are unknown":   {rule("  source_ranges = [\"10.0.0.0/20\"]\n  target_tags = [var.tag]", ports) + "variable \"tag\" {}\n", nil, "target_tags is not known"},
		"ports that are numbers":  {rule(ours, strings.Replace(ports, `"6432"`, "6432", 1)), nil, "what is no text"},
		"no direction":            {strings.Replace(rule(ours, ports), "direction", "way", 1), nil, "direction is not known"},
		"no syntax":               {"resource {{", nil, "main.tf"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Openings(environment(t, "dev", c.text))
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("%v, %v", got, err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, map[string]map[string]Opening{"dev": c.want}) {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
}
