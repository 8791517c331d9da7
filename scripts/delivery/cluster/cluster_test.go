package cluster

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
)

const root = "../../.."

func folder(environment string) string {
	return filepath.Join(root, Dir, "overlays", environment)
}

func objects(t *testing.T, environment string) []runtime.Object {
	t.Helper()
	text, err := Build(folder(environment))
	if err != nil {
		t.Fatal(err)
	}
	out, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// promises are the README's table and the connection budget: what all pods of
// PgBouncer, and all of Hydra, may open together.
var promises = map[string]struct {
	pods, cpu, memory     string
	hydraLeast, hydraMost int32
	poolers, connections  int
	direct                int
}{
	"dev":        {"10", "20", "40G", 1, 2, 1, 20, 12},
	"staging":    {"50", "100", "200G", 2, 6, 2, 120, 28},
	"production": {"200", "400", "800G", 3, 20, 3, 300, 84},
}

// hydraConnections are those of one pod: its data source says so (hydra.config.yaml).
const hydraConnections = 4

func environment(t *testing.T, name string) Environment {
	t.Helper()
	out, err := ReadEnvironment(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func firewall(t *testing.T, environment string) []Opening {
	t.Helper()
	out, err := ReadFirewall(root, environment)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOverlaysKeepTheirPromises(t *testing.T) {
	t.Parallel()
	for name, want := range promises {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have, made := objects(t, name), environment(t, name)
			for _, f := range Faults(name, have, made.Pools, firewall(t, name)) {
				t.Error(f)
			}
			quota := all[*core.ResourceQuota](have)[0].Spec.Hard
			for name, figure := range map[core.ResourceName]string{
				core.ResourcePods: want.pods, core.ResourceRequestsCPU: want.cpu, core.ResourceLimitsCPU: want.cpu,
				core.ResourceRequestsMemory: want.memory, core.ResourceLimitsMemory: want.memory,
			} {
				if got := quota[name]; got.Cmp(resource.MustParse(figure)) != 0 {
					t.Errorf("quota of %s is %s, not %s", name, got.String(), figure)
				}
			}
			scaler := all[*autoscaling.HorizontalPodAutoscaler](have)[0].Spec
			if *scaler.MinReplicas != want.hydraLeast || scaler.MaxReplicas != want.hydraMost {
				t.Errorf("hydra scales from %d to %d", *scaler.MinReplicas, scaler.MaxReplicas)
			}
			pooler := settings(t, have)
			if got := pooler["max_db_connections"] * want.poolers; got != want.connections {
				t.Errorf("PgBouncer may open %d connections, not %d", got, want.connections)
			}
			// Two roles have a pool each, and neither can take what is the other's.
			if pooler["default_pool_size"]*2 != pooler["max_db_connections"] {
				t.Errorf("two pools of %d are not %d", pooler["default_pool_size"], pooler["max_db_connections"])
			}
			direct := hydraConnections * (int(want.hydraMost) + surge(t, have, "hydra"))
			if direct != want.direct {
				t.Errorf("Hydra may open %d connections, not %d", direct, want.direct)
			}
			deployed := Budget{Poolers: pods(t, have), Clients: pooler["max_client_conn"], PoolSize: pooler["default_pool_size"], Direct: direct}
			if deployed != made.Budget {
				t.Errorf("Terraform's budget counts with %+v, and %+v is deployed", made.Budget, deployed)
			}
			if deployed.Poolers != want.poolers || surge(t, have, "pgbouncer") != 0 {
				t.Errorf("PgBouncer has %d pods and %d more while it is replaced", deployed.Poolers, surge(t, have, "pgbouncer"))
			}
			fits(t, have, quota)
		})
	}
}

func deployment(t *testing.T, have []runtime.Object, name string) *apps.Deployment {
	t.Helper()
	for _, d := range all[*apps.Deployment](have) {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no deployment %s", name)
	return nil
}

func pods(t *testing.T, have []runtime.Object) int {
	t.Helper()
	return int(*deployment(t, have, "pgbouncer").Spec.Replicas)
}

// surge is how many pods more there are while one is replaced.
func surge(t *testing.T, have []runtime.Object, name string) int {
	t.Helper()
	return deployment(t, have, name).Spec.Strategy.RollingUpdate.MaxSurge.IntValue()
}

// settings are the numbers that a pod of PgBouncer is given: those of its mounted
// limits, over which its main file goes, as it includes them first.
func settings(t *testing.T, have []runtime.Object) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, m := range all[*core.ConfigMap](have) {
		for _, file := range []string{"limits.ini", "pgbouncer.ini"} {
			for line := range strings.Lines(m.Data[file]) {
				name, value, ok := strings.Cut(strings.TrimSpace(line), " = ")
				if n, err := strconv.Atoi(value); ok && err == nil {
					out[name] = n
				}
			}
		}
	}
	for _, name := range []string{"default_pool_size", "max_db_connections", "max_client_conn"} {
		if out[name] == 0 {
			t.Errorf("PgBouncer is given no %s", name)
		}
	}
	return out
}

// fits holds the largest that the workloads may become against the quota: a quota
// that stops a deployment half-way is found here.
func fits(t *testing.T, have []runtime.Object, quota core.ResourceList) {
	t.Helper()
	most := map[string]int64{}
	for _, s := range all[*autoscaling.HorizontalPodAutoscaler](have) {
		most[s.Spec.ScaleTargetRef.Name] = int64(s.Spec.MaxReplicas)
	}
	var pods, cpu, memory int64
	for _, d := range all[*apps.Deployment](have) {
		n := max(most[d.Name], int64(*d.Spec.Replicas)) + int64(d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue())
		pods += n
		for _, c := range d.Spec.Template.Spec.Containers {
			cpu += n * c.Resources.Limits.Cpu().MilliValue()
			memory += n * c.Resources.Limits.Memory().Value()
		}
	}
	if pods > quota.Pods().Value() {
		t.Errorf("%d pods do not fit", pods)
	}
	if limit := quota[core.ResourceLimitsCPU]; cpu > limit.MilliValue() {
		t.Errorf("%d milli-CPU do not fit", cpu)
	}
	if limit := quota[core.ResourceLimitsMemory]; memory > limit.Value() {
		t.Errorf("%d bytes do not fit", memory)
	}
}

// old is whether an image's tag says a release before 1.25.2.
func old(image string) (bool, error) {
	var version [3]int
	for i, part := range strings.SplitN(image[strings.LastIndex(image, ":")+1:], ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false, err
		}
		version[i] = n
	}
	return slices.Compare(version[:], []int{1, 25, 2}) < 0, nil
}

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]bool{"r/pgbouncer:1.25.1": true, "r/pgbouncer:1.9.9": true, "r/pgbouncer:1.25.2": false, "r/pgbouncer:1.26.0": false} {
		if got, err := old(image); err != nil || got != want {
			t.Errorf("%s is old: %t, %v", image, got, err)
		}
	}
	for environment := range promises {
		image := deployment(t, objects(t, environment), "pgbouncer").Spec.Template.Spec.Containers[0].Image
		if older, err := old(image); err != nil || older {
			t.Errorf("%s: %s is older than 1.25.2, or of no release: %v", environment, image, err)
		}
	}
	hydra, err := os.ReadFile(filepath.Join(root, Dir, "base", "hydra.config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(hydra), fmt.Sprintf("max_conns=%d:", hydraConnections)) {
		t.Errorf("nobody is told that a pod of Hydra has %d connections", hydraConnections)
	}
	raw, err := os.ReadFile(filepath.Join(root, Dir, "base", "pgbouncer.ini"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pool_mode = transaction", "client_tls_sslmode = require", "server_tls_sslmode = verify-ca", "auth_type = scram-sha-256", "max_prepared_statements = 200"} {
		if !strings.Contains(string(raw), "\n"+want+"\n") {
			t.Errorf("pgbouncer.ini lacks %q", want)
		}
	}
}

// A file that a program is told of is one that its pods mount, and each that they mount
// is told of: a secret that nobody reads need not be there.
func TestMountedFilesAreRead(t *testing.T) {
	t.Parallel()
	file := regexp.MustCompile(`/etc/secrets/([\w.-]+)`)
	mounted := regexp.MustCompile(`path: "([^"]+)"`)
	for environment := range promises {
		have := objects(t, environment)
		for _, class := range all[*SecretProviderClass](have) {
			var told, there []string
			pod := deployment(t, have, class.Name).Spec.Template.Spec
			for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
				told = append(told, c.Args...)
			}
			for _, m := range all[*core.ConfigMap](have) {
				if strings.HasPrefix(m.Name, class.Name+"-") {
					told = append(told, slices.Collect(maps.Values(m.Data))...)
				}
			}
			said := strings.Join(told, "\n")
			told = nil
			for _, m := range file.FindAllStringSubmatch(said, -1) {
				told = append(told, m[1])
			}
			for _, m := range mounted.FindAllStringSubmatch(class.Spec.Parameters.Secrets, -1) {
				there = append(there, m[1])
			}
			slices.Sort(told)
			slices.Sort(there)
			if told = slices.Compact(told); len(told) == 0 || !slices.Equal(told, there) {
				t.Errorf("%s: %s is told of %v and mounts %v", environment, class.Name, told, there)
			}
		}
	}
}

// Hydra's migrations read the data source of a file only when they are told to: they
// stop without a word about it otherwise, and no pod ever starts.
func TestHydraMigrates(t *testing.T) {
	t.Parallel()
	for environment := range promises {
		pod := deployment(t, objects(t, environment), "hydra").Spec.Template.Spec
		if args := pod.InitContainers[0].Args; !slices.Contains(args, "--read-from-env") || !slices.Contains(args, "/etc/secrets/secrets.yaml") {
			t.Errorf("%s: hydra is called with %q", environment, args)
		}
	}
}

// TestFirewallIsRead gives the reader of the firewall what it cannot read.
func TestFirewallIsRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"whole":          {`{"openings": {"dev": {"x-in-a": {"ports": ["6432", "10256"], "from": ["10.0.0.0/20"]}, "x-in-cluster-itself": {"ports": ["1-65535"], "from": ["10.1.0.0/16"]}}}}`, ""},
		"no openings":    {`{"accounts": {}}`, "no openings of dev"},
		"another's":      {`{"openings": {"staging": {}}}`, "no openings of dev"},
		"a range":        {`{"openings": {"dev": {"x-in-a": {"ports": ["1-65535"], "from": ["10.0.0.0/20"]}}}}`, "1-65535"},
		"something else": {`{"openings": [`, "access.json"},
	} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "terraform"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, accessFile), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFirewall(dir, "dev")
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, []Opening{{6432, "10.0.0.0/20"}}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ReadFirewall(t.TempDir(), "dev"); err == nil {
		t.Error("there is no such file")
	}
}

// TestKubectlAgrees compares what we build with what an operator's kubectl builds.
func TestKubectlAgrees(t *testing.T) {
	t.Parallel()
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("no kubectl here: the overlays were built by kustomize's library alone")
		return
	}
	for environment := range promises {
		out, err := exec.CommandContext(t.Context(), kubectl, "kustomize", folder(environment)).Output() //nolint:gosec // a program of the path, a folder of ours
		if err != nil {
			t.Fatalf("%s: %v", environment, err)
		}
		want, err := Build(folder(environment))
		if err != nil {
			t.Fatal(err)
		}
		if documents(string(out)) != documents(want) {
			t.Errorf("%s: kubectl builds something else", environment)
		}
	}
}

// documents are the documents of a text in one order: the tools differ in it.
func documents(text string) string {
	parts := strings.Split(strings.TrimSpace(text), "\n---\n")
	slices.Sort(parts)
	return strings.Join(parts, "\n---\n")
}

// TestFaultsAreFound breaks production once for each rule.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	text, err := Build(folder("production"))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ from, to, want string }{
		"misspelt field":     {"readOnlyRootFilesystem:", "readOnlyRootFileSystem:", "unknown field"},
		"unknown kind":       {"kind: LimitRange\n", "kind: LimitsRange\n", "no kind"},
		"wrong type":         {"replicas: 3", `replicas: "three"`, "json"},
		"root":               {"runAsNonRoot: true", "runAsNonRoot: false", "may run as root"},
		"writable image":     {"readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "writes its own image"},
		"privileges":         {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may gain privileges"},
		"capabilities":       {"drop:\n            - ALL", "drop:\n            - NET_RAW", "keeps capabilities"},
		"latest":             {"pgbouncer:1.25.2", "pgbouncer:latest", "any version"},
		"unlimited":          {"          limits:\n            cpu: \"1\"\n", "          limits:\n", "how much cpu"},
		"no liveness":        {"livenessProbe:", "lifecycle: {}\n        x-livenessProbe:", "unknown field"},
		"another namespace":  {"name: hydra\n  namespace: coditect-production", "name: hydra\n  namespace: default", "is not in"},
		"unrestricted":       {"enforce: restricted", "enforce: baseline", "not restricted"},
		"public balancer":    {"load-balancer-type: Internal", "load-balancer-type: External", "public address"},
		"any port of a node": {"type: ClusterIP", "type: NodePort", "every node"},
		"the world":          {"cidr: 10.16.0.0/16", "cidr: 0.0.0.0/0", "whole world"},
		"default open":       {"  name: default-deny\n  namespace: coditect-production\nspec:\n  podSelector: {}\n  policyTypes:\n  - Ingress\n", "  name: default-deny\n  namespace: coditect-production\nspec:\n  podSelector: {}\n  policyTypes:\n", "nothing denies"},
		"everything":         {"name: admin\nsubjects", "name: cluster-admin\nsubjects", "gives everything"},
		"another's people":   {"coditect-production-edit@", "coditect-dev-edit@", "is for"},
		"wildcard":           {"  - deployments\n", "  - '*'\n", "wildcard"},
		"reads secrets":      {"  - pods/log\n", "  - secrets\n", "reads secrets"},
		"token":              {"automountServiceAccountToken: false\nkind: ServiceAccount", "automountServiceAccountToken: true\nkind: ServiceAccount", "mounts a token"},
		"another's secrets":  {"projects/coditect-production/secrets/hydra-config", "projects/coditect-dev/secrets/hydra-config", "another environment"},
		"a secret":           {"kind: LimitRange\n", "kind: Secret\n", "Secret"},
		"only the firewall":  {"    - ipBlock:\n        cidr: 10.0.0.0/20\n    ports:\n    - port: 4445\n", "    - ipBlock:\n        cidr: 10.0.0.0/20\n    ports:\n    - port: 4446\n", "the firewall lets 10.0.0.0/20 in to port 4445, and no policy does"},
		"only a policy":      {"    - ipBlock:\n        cidr: 130.211.0.0/22\n    ports:\n    - port: 4444\n", "    - ipBlock:\n        cidr: 130.211.0.0/22\n    ports:\n    - port: 4445\n", "a policy lets 130.211.0.0/22 in to port 4445, and the firewall does not"},
		"a wider service":    {"loadBalancerSourceRanges:\n  - 10.0.0.0/20\n", "loadBalancerSourceRanges:\n  - 10.0.0.0/8\n", "service hydra-admin serves 10.0.0.0/8 on port 4445"},
		"another endpoint":   {`"exposed_ports": {"4444"`, `"exposed_ports": {"4445"`, "service hydra has no port 4445"},
		"by an ingress":      {`"exposed_ports"`, `"ingress"`, "not understood"},
		"no toleration":      {"      tolerations:\n      - effect: NoSchedule\n        key: dedicated\n        operator: Equal\n        value: pooler\n", "", "does not tolerate the taint of pool pooler"},
		"any taint":          {"        key: dedicated\n        operator: Equal\n        value: pooler\n", "        operator: Exists\n", "more than one pool's taint"},
		"no such pool":       {"pool: pooler", "pool: poolers", "which Terraform does not make"},
		"anywhere":           {"      nodeSelector:\n        pool: pooler\n", "", "does not choose them"},
		"an empty pool":      {"pool: pooler", "pool: general", "nothing runs on the nodes of pool pooler"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(text, tt.from) {
				t.Fatalf("production does not contain %q", tt.from)
			}
			have, err := Decode(strings.ReplaceAll(text, tt.from, tt.to))
			said := strings.Join(Faults("production", have, environment(t, "production").Pools, firewall(t, "production")), "\n")
			if err != nil {
				said += err.Error()
			}
			if !strings.Contains(said, tt.want) {
				t.Errorf("not found; found:\n%s", said)
			}
		})
	}
}

func TestReadEnvironment(t *testing.T) {
	t.Parallel()
	const pools = `cluster = { zones = ["${var.region}-b"], pools = { general = { min = 1, max = 5 }, pooler = { min = 2, max = 6, dedicated = true } } }`
	const budget = `budget = { poolers = 3, max_client_connections = 4000, pool_size = 50, direct = 84 }`
	for name, c := range map[string]struct{ text, want string }{
		"whole":          {"module \"platform\" {\n" + pools + "\n" + budget + "\n}\n", ""},
		"no such module": {"module \"other\" {\n" + pools + "\n" + budget + "\n}\n", "no module platform"},
		"no budget":      {"module \"platform\" {\n" + pools + "\n}\n", "given no budget"},
		"no figure":      {"module \"platform\" {\n" + pools + "\nbudget = { poolers = 3 }\n}\n", "budget: no "},
		"no number":      {"module \"platform\" {\n" + pools + "\n" + strings.Replace(budget, "84", `"some"`, 1) + "\n}\n", "direct"},
		"no pools":       {"module \"platform\" {\ncluster = {}\n" + budget + "\n}\n", "no pools"},
		"no most":        {"module \"platform\" {\ncluster = { pools = { general = { min = 1 } } }\n" + budget + "\n}\n", "pool general: no max"},
		"not evaluated":  {"module \"platform\" {\n" + pools + "\nbudget = local.budget\n}\n", "local"},
		"no syntax":      {"module {", "main.tf"},
	} {
		dir := t.TempDir()
		folder := filepath.Join(dir, "terraform/environments/dev")
		if err := os.MkdirAll(folder, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "main.tf"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadEnvironment(dir, "dev")
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || got.Budget != (Budget{3, 4000, 50, 84}) || len(got.Pools) != 2 || got.Pools["pooler"] != (Pool{2, 6, true}) || got.Pools["general"] != (Pool{1, 5, false}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ReadEnvironment(t.TempDir(), "dev"); err == nil {
		t.Error("there is no such environment")
	}
}
