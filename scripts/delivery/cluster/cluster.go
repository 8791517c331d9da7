// Package cluster holds terraform/kubernetes to what its README promises. It builds
// an overlay as kustomize does and decodes what comes out into the types of the
// Kubernetes API, strictly: a field that the API does not know is an error here,
// where the server of a cluster would drop it.
//
// To use one more kind of object, add its group to kinds.
package cluster

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Dir is the folder, from the root of the repository.
const Dir = "terraform/kubernetes"

// A SecretProviderClass says what a pod mounts from Secret Manager. Its types are
// not in Kubernetes' API but in the driver's, of which we use this much.
type SecretProviderClass struct {
	meta.TypeMeta   `json:",inline"`
	meta.ObjectMeta `json:"metadata"`
	Spec            struct {
		Provider   string `json:"provider"`
		Parameters struct {
			Secrets string `json:"secrets"`
		} `json:"parameters"`
	} `json:"spec"`
}

// DeepCopyObject is what runtime.Object asks for.
func (c *SecretProviderClass) DeepCopyObject() runtime.Object {
	out := *c
	c.DeepCopyInto(&out.ObjectMeta)
	return &out
}

func kinds() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	s.AddKnownTypes(schema.GroupVersion{Group: "secrets-store.csi.x-k8s.io", Version: "v1"}, &SecretProviderClass{})
	return s, errors.Join(core.AddToScheme(s), apps.AddToScheme(s), autoscaling.AddToScheme(s), network.AddToScheme(s), policy.AddToScheme(s), rbac.AddToScheme(s))
}

// Build is the text that kustomize makes of a folder, its documents in order.
func Build(folder string) (string, error) {
	resources, err := krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionUnspecified,
		LoadRestrictions: types.LoadRestrictionsRootOnly,
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return "", err
	}
	text, err := resources.AsYaml()
	return string(text), err
}

// Decode reads documents strictly into the types of the API.
func Decode(text string) ([]runtime.Object, error) {
	scheme, err := kinds()
	if err != nil {
		return nil, err
	}
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var out []runtime.Object
	var faults []error
	for i, doc := range strings.Split(text, "\n---\n") {
		object, kind, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			faults = append(faults, fmt.Errorf("document %d (%v): %w", i+1, kind, err))
			continue
		}
		out = append(out, object)
	}
	return out, errors.Join(faults...)
}

// all are the objects of one type.
func all[T runtime.Object](objects []runtime.Object) []T {
	var out []T
	for _, o := range objects {
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// Faults are the house's rules that an environment breaks, given the pools of nodes
// that its Terraform makes, and what its firewall lets in to pods.
func Faults(environment string, objects []runtime.Object, pools map[string]Pool, openings []Opening) []string {
	r := &report{}
	r.namespace(environment, objects)
	r.nodes(all[*apps.Deployment](objects), pools)
	for _, d := range all[*apps.Deployment](objects) {
		r.pods(d)
		r.guarded(d, objects)
	}
	r.network(objects)
	r.openings(objects, openings)
	r.people(environment, objects)
	for _, s := range all[*core.ServiceAccount](objects) {
		r.want(s.AutomountServiceAccountToken != nil && !*s.AutomountServiceAccountToken, "service account %s mounts a token", s.Name)
	}
	for _, s := range all[*core.Service](objects) {
		r.want(s.Spec.Type != core.ServiceTypeNodePort, "service %s opens a port on every node", s.Name)
		if s.Spec.Type == core.ServiceTypeLoadBalancer {
			r.want(s.Annotations["networking.gke.io/load-balancer-type"] == "Internal", "service %s has a public address", s.Name)
			r.want(len(s.Spec.LoadBalancerSourceRanges) > 0, "service %s does not say whom it serves", s.Name)
		}
		r.endpoints(s)
	}
	r.want(len(all[*core.Secret](objects)) == 0, "a Secret is in the repository")
	for _, c := range all[*SecretProviderClass](objects) {
		named, ours := strings.Count(c.Spec.Parameters.Secrets, "projects/"), strings.Count(c.Spec.Parameters.Secrets, "projects/coditect-"+environment+"/secrets/")
		r.want(named > 0 && named == ours, "%s mounts secrets of another environment", c.Name)
	}
	return r.faults
}

type report struct{ faults []string }

func (r *report) want(ok bool, format string, args ...any) {
	if !ok {
		r.faults = append(r.faults, fmt.Sprintf(format, args...))
	}
}

func (r *report) namespace(environment string, objects []runtime.Object) {
	spaces := all[*core.Namespace](objects)
	if len(spaces) != 1 {
		r.want(false, "%d namespaces", len(spaces))
		return
	}
	name := spaces[0].Name
	r.want(name == "coditect-"+environment, "the namespace is %s", name)
	r.want(spaces[0].Labels["pod-security.kubernetes.io/enforce"] == "restricted", "namespace %s admits pods that are not restricted", name)
	for _, o := range objects {
		m, ok := o.(meta.Object)
		r.want(ok && (m.GetNamespace() == name || m.GetNamespace() == "" && m.GetName() == name), "%T %v is not in %s", o, o, name)
	}
	r.want(len(all[*core.ResourceQuota](objects)) == 1, "no quota")
	r.want(len(all[*core.LimitRange](objects)) == 1, "no limit range")
}

// pods are held to the restricted profile, and to saying what they need.
func (r *report) pods(d *apps.Deployment) {
	spec := d.Spec.Template.Spec
	s := spec.SecurityContext
	r.want(s != nil && s.RunAsNonRoot != nil && *s.RunAsNonRoot && s.RunAsUser != nil && *s.RunAsUser > 0, "%s may run as root", d.Name)
	r.want(s != nil && s.SeccompProfile != nil && s.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault, "%s has no seccomp profile", d.Name)
	r.want(!spec.HostNetwork && !spec.HostPID && !spec.HostIPC, "%s is in a namespace of the node", d.Name)
	r.want(spec.ServiceAccountName == d.Name, "%s runs as %q", d.Name, spec.ServiceAccountName)
	for _, v := range spec.Volumes {
		r.want(v.HostPath == nil, "%s mounts a folder of the node", d.Name)
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		s := c.SecurityContext
		r.want(s != nil && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation, "%s/%s may gain privileges", d.Name, c.Name)
		r.want(s != nil && s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem, "%s/%s writes its own image", d.Name, c.Name)
		r.want(s != nil && s.Capabilities != nil && slices.Contains(s.Capabilities.Drop, "ALL"), "%s/%s keeps capabilities", d.Name, c.Name)
		for _, of := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory} {
			_, asked := c.Resources.Requests[of]
			_, bounded := c.Resources.Limits[of]
			r.want(asked && bounded, "%s/%s does not say how much %s", d.Name, c.Name, of)
		}
		_, tag, _ := strings.Cut(c.Image[strings.LastIndex(c.Image, "/")+1:], ":")
		r.want(tag != "" && tag != "latest", "%s/%s runs any version: %s", d.Name, c.Name, c.Image)
	}
	for _, c := range spec.Containers {
		r.want(c.StartupProbe != nil && c.LivenessProbe != nil && c.ReadinessProbe != nil, "%s/%s lacks a probe", d.Name, c.Name)
	}
}

// nodes wants every pod to have nodes that take it, and every dedicated pool of nodes
// somebody for whom it is: one that nobody asks for stays empty, and is paid for.
func (r *report) nodes(deployments []*apps.Deployment, pools map[string]Pool) {
	used := map[string]bool{}
	for _, d := range deployments {
		spec := d.Spec.Template.Spec
		name, chosen := spec.NodeSelector["pool"]
		pool, exists := pools[name]
		r.want(!chosen || exists, "%s runs on nodes of pool %s, which Terraform does not make", d.Name, name)
		tolerated := map[string]bool{}
		for _, t := range spec.Tolerations {
			exact := t.Key == "dedicated" && t.Operator == core.TolerationOpEqual && t.Effect == core.TaintEffectNoSchedule
			r.want(exact, "%s tolerates more than one pool's taint", d.Name)
			if exact {
				tolerated[t.Value] = true
				r.want(t.Value == name, "%s tolerates nodes of %s and does not choose them", d.Name, t.Value)
			}
		}
		r.want(!pool.Dedicated || tolerated[name], "%s does not tolerate the taint of pool %s: no node takes it", d.Name, name)
		used[name] = used[name] || pool.Dedicated && tolerated[name]
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		r.want(!pools[name].Dedicated || used[name], "nothing runs on the nodes of pool %s", name)
	}
}

// guarded wants, for a workload, a disruption budget and a policy each way.
func (r *report) guarded(d *apps.Deployment, objects []runtime.Object) {
	selects := func(s *meta.LabelSelector) bool {
		return s != nil && len(s.MatchLabels) > 0 && s.MatchLabels["app.kubernetes.io/name"] == d.Spec.Template.Labels["app.kubernetes.io/name"]
	}
	r.want(slices.ContainsFunc(all[*policy.PodDisruptionBudget](objects), func(b *policy.PodDisruptionBudget) bool { return selects(b.Spec.Selector) }), "%s has no disruption budget", d.Name)
	for _, direction := range []network.PolicyType{network.PolicyTypeIngress, network.PolicyTypeEgress} {
		r.want(slices.ContainsFunc(all[*network.NetworkPolicy](objects), func(p *network.NetworkPolicy) bool {
			return selects(&p.Spec.PodSelector) && slices.Contains(p.Spec.PolicyTypes, direction)
		}), "%s has no policy for %s", d.Name, direction)
	}
}

// network wants everything denied at first, and no rule that says anyone or any port.
func (r *report) network(objects []runtime.Object) {
	denied := false
	for _, p := range all[*network.NetworkPolicy](objects) {
		if len(p.Spec.PodSelector.MatchLabels) == 0 && len(p.Spec.Ingress) == 0 && len(p.Spec.Egress) == 0 && len(p.Spec.PolicyTypes) == 2 {
			denied = true
		}
		for _, rule := range p.Spec.Ingress {
			r.peers(p.Name, rule.From, rule.Ports)
		}
		for _, rule := range p.Spec.Egress {
			r.peers(p.Name, rule.To, rule.Ports)
		}
	}
	r.want(denied, "nothing denies what no policy names")
}

func (r *report) peers(name string, peers []network.NetworkPolicyPeer, ports []network.NetworkPolicyPort) {
	r.want(len(peers) > 0, "policy %s lets anyone through", name)
	r.want(len(ports) > 0, "policy %s opens every port", name)
	for _, p := range peers {
		r.want(p.IPBlock == nil || p.IPBlock.CIDR != "0.0.0.0/0", "policy %s reaches the whole world", name)
	}
}

// openings wants the policies of pods and the firewall to let in the same from outside
// of the cluster: what one of them alone opens is shut, or open by mistake. A service's
// load balancer makes rules of the firewall by itself, for whom it says that it serves.
func (r *report) openings(objects []runtime.Object, firewall []Opening) {
	policies := map[Opening]bool{}
	for _, p := range all[*network.NetworkPolicy](objects) {
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				for _, peer := range rule.From {
					if peer.IPBlock != nil && port.Port != nil {
						policies[Opening{port.Port.IntValue(), peer.IPBlock.CIDR}] = true
					}
				}
			}
		}
	}
	for _, o := range firewall {
		r.want(policies[o], "the firewall lets %s in to port %d, and no policy does", o.From, o.Port)
		delete(policies, o)
	}
	for o := range policies {
		r.want(false, "a policy lets %s in to port %d, and the firewall does not", o.From, o.Port)
	}
	for _, s := range all[*core.Service](objects) {
		for _, port := range s.Spec.Ports {
			for _, from := range s.Spec.LoadBalancerSourceRanges {
				r.want(slices.Contains(firewall, Opening{int(port.Port), from}), "service %s serves %s on port %d, and the firewall does not let it in", s.Name, from, port.Port)
			}
		}
	}
}

// endpoints wants the groups of endpoints that a service asks for to be of its own
// ports: others the cluster passes over without a word.
func (r *report) endpoints(s *core.Service) {
	text, asked := s.Annotations["cloud.google.com/neg"]
	if !asked {
		return
	}
	var groups struct {
		Ports map[string]struct {
			Name string `json:"name"`
		} `json:"exposed_ports"`
	}
	decoder := stdjson.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&groups)
	r.want(err == nil && len(groups.Ports) > 0, "service %s asks for groups of endpoints that are not understood: %v", s.Name, err)
	for port, group := range groups.Ports {
		has := slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return strconv.Itoa(int(p.Port)) == port })
		r.want(has && group.Name != "", "service %s has no port %s, or no name, for a group of endpoints", s.Name, port)
	}
}

// people come in by groups, for this namespace, and none is an administrator of the
// cluster.
func (r *report) people(environment string, objects []runtime.Object) {
	r.want(len(all[*rbac.ClusterRoleBinding](objects)) == 0, "a binding holds in the whole cluster")
	bound := map[string]bool{}
	for _, b := range all[*rbac.RoleBinding](objects) {
		bound[b.RoleRef.Name] = true
		r.want(b.RoleRef.Name != "cluster-admin", "binding %s gives everything", b.Name)
		for _, s := range b.Subjects {
			r.want(s.Kind != rbac.GroupKind || strings.HasPrefix(s.Name, "coditect-"+environment+"-"), "binding %s is for %s", b.Name, s.Name)
			r.want(!strings.HasPrefix(s.Name, "system:"), "binding %s is for %s", b.Name, s.Name)
		}
	}
	for _, role := range []string{"view", "edit", "admin", "deployer"} {
		r.want(bound[role], "nobody is bound to %s", role)
	}
	for _, role := range all[*rbac.Role](objects) {
		for _, rule := range role.Rules {
			all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)
			r.want(!slices.Contains(all, "*"), "role %s has a wildcard", role.Name)
			r.want(!slices.Contains(rule.Resources, "secrets"), "role %s reads secrets", role.Name)
		}
	}
}
