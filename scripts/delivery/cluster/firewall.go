package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// An Opening is a port of pods and a range of addresses from outside of the cluster
// that may reach it.
type Opening struct {
	Port int
	From string
}

// Rules of the firewall for the cluster's machines that are not for our pods: the
// cluster's own traffic, and the port on which a node answers for all of its services.
const (
	ownRule    = "-in-cluster-itself"
	nodeHealth = "10256"
)

// accessFile has what the firewall lets in, by environment and rule: `make generate`
// works it out from terraform/, and scripts/terraform.Openings says how.
const accessFile = "terraform/access.json"

// ReadFirewall reads what an environment's firewall lets in to pods of the cluster.
func ReadFirewall(root, environment string) ([]Opening, error) {
	raw, err := os.ReadFile(filepath.Join(root, accessFile))
	if err != nil {
		return nil, err
	}
	var all struct {
		Openings map[string]map[string]struct{ Ports, From []string }
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", accessFile, err)
	}
	rules := all.Openings[environment]
	if len(rules) == 0 {
		return nil, fmt.Errorf("%s has no openings of %s", accessFile, environment)
	}
	var out []Opening
	for name, rule := range rules {
		if strings.HasSuffix(name, ownRule) {
			continue
		}
		for _, p := range rule.Ports {
			if p == nodeHealth {
				continue
			}
			port, err := strconv.Atoi(p)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", accessFile, name, err)
			}
			for _, from := range rule.From {
				out = append(out, Opening{port, from})
			}
		}
	}
	return out, nil
}
