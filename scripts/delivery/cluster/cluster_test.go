package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
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
// PgBouncer may open together.
var promises = map[string]struct {
	pods, cpu, memory     string
	hydraLeast, hydraMost int32
	poolers, connections  int
}{
	"dev":        {"10", "20", "40G", 1, 2, 1, 20},
	"staging":    {"50", "100", "200G", 2, 6, 2, 120},
	"production": {"200", "400", "800G", 3, 20, 3, 300},
}

func TestOverlaysKeepTheirPromises(t *testing.T) {
	t.Parallel()
	for environment, want := range promises {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			have := objects(t, environment)
			for _, f := range Faults(environment, have) {
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
			if got := connections(t, have, want.poolers); got != want.connections {
				t.Errorf("PgBouncer may open %d connections, not %d", got, want.connections)
			}
			fits(t, have, quota)
		})
	}
}

// connections is what the pods of PgBouncer may open, by their mounted settings.
func connections(t *testing.T, have []runtime.Object, poolers int) int {
	t.Helper()
	for _, d := range all[*apps.Deployment](have) {
		if d.Name != "pgbouncer" {
			continue
		}
		if int(*d.Spec.Replicas) != poolers || d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue() != 0 {
			t.Errorf("PgBouncer has %d pods and %d more while it is replaced", *d.Spec.Replicas, d.Spec.Strategy.RollingUpdate.MaxSurge.IntValue())
		}
	}
	for _, m := range all[*core.ConfigMap](have) {
		for line := range strings.Lines(m.Data["limits.ini"]) {
			if value, ok := strings.CutPrefix(line, "max_db_connections = "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(value))
				if err != nil {
					t.Fatal(err)
				}
				return n * poolers
			}
		}
	}
	t.Error("PgBouncer opens as many connections as it likes")
	return 0
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

func TestPgBouncer(t *testing.T) {
	t.Parallel()
	have := objects(t, "production")
	for _, d := range all[*apps.Deployment](have) {
		if d.Name != "pgbouncer" {
			continue
		}
		image := d.Spec.Template.Spec.Containers[0].Image
		var version [3]int
		for i, part := range strings.SplitN(image[strings.LastIndex(image, ":")+1:], ".", 3) {
			n, err := strconv.Atoi(part)
			if err != nil {
				t.Fatalf("%s: %v", image, err)
			}
			version[i] = n
		}
		if slices.Compare(version[:], []int{1, 25, 2}) < 0 {
			t.Errorf("%s is older than 1.25.2", image)
		}
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
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(text, tt.from) {
				t.Fatalf("production does not contain %q", tt.from)
			}
			have, err := Decode(strings.ReplaceAll(text, tt.from, tt.to))
			said := strings.Join(Faults("production", have), "\n")
			if err != nil {
				said += err.Error()
			}
			if !strings.Contains(said, tt.want) {
				t.Errorf("not found; found:\n%s", said)
			}
		})
	}
}
