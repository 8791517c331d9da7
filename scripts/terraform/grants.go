package terraform

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/coditect/platform/scripts/terraform/tree"
)

// A Grant is a role that a member has somewhere, as the configuration binds it.
type Grant struct {
	Member, Role, On string
	Address          string // of the resource that binds it
}

// inputs stand for what differs between projects, so that the matrix says the same
// of each.
var inputs = map[string]cty.Value{
	"project_id":     cty.StringVal("PROJECT"),
	"project_number": cty.StringVal("NUMBER"),
	"region":         cty.StringVal("REGION"),
	"repository":     cty.StringVal("OWNER/REPOSITORY"),
	"state_bucket":   cty.StringVal("STATE_BUCKET"),
}

// places are the kinds of things that roles are bound on, what the matrix calls one,
// and the attribute that says which.
var places = map[string]struct{ word, attribute string }{
	"google_project":                       {"the project", ""},
	"google_storage_bucket":                {"bucket", "bucket"},
	"google_secret_manager_secret":         {"secret", "secret_id"},
	"google_pubsub_topic":                  {"topic", "topic"},
	"google_pubsub_subscription":           {"subscription", "subscription"},
	"google_cloud_run_v2_service":          {"service", "name"},
	"google_cloud_run_v2_job":              {"job", "name"},
	"google_cloud_tasks_queue":             {"queue", "name"},
	"google_kms_crypto_key":                {"key", "crypto_key_id"},
	"google_kms_key_ring":                  {"key ring", "key_ring_id"},
	"google_artifact_registry_repository":  {"repository", "repository"},
	"google_service_account":               {"account", "service_account_id"},
	"google_binary_authorization_attestor": {"attestor", "attestor"},
}

const (
	account = "google_service_account"
	service = "google_cloud_run_v2_service"
)

// opaque are resources that give rights in a way the matrix cannot show: by a whole
// policy, by a list of an object's own, by a role of ours, or by a key that is kept.
var opaque = regexp.MustCompile(`_iam_policy$|_iam_custom_role$|_acl$|_access_control$|^google_service_account_key$`)

// binds is the kind of place that resources of a type bind roles on.
func binds(kind string) (string, bool) {
	for _, ending := range []string{"_iam_member", "_iam_binding"} {
		if place, ok := strings.CutSuffix(kind, ending); ok {
			return place, true
		}
	}
	return "", false
}

// Bound are the grants of an environment, and the accounts that it makes with what
// each is. What cannot be known from the configuration is an error.
func Bound(root, environment string, given map[string]cty.Value) ([]Grant, map[string]string, error) {
	dir, err := filepath.Abs(filepath.Join(root, EnvironmentsDir, environment))
	if err != nil {
		return nil, nil, err
	}
	found, err := tree.Resources(dir, given, func(kind string) bool {
		_, ok := binds(kind)
		return ok || kind == account || kind == service || opaque.MatchString(kind)
	})
	if err != nil {
		return nil, nil, err
	}
	var grants []Grant
	accounts := map[string]string{}
	for _, r := range found {
		place, ok := binds(r.Type)
		switch {
		case opaque.MatchString(r.Type):
			return nil, nil, fmt.Errorf("%s gives rights that the matrix cannot show", r.Address)
		case r.Type == account:
			says, err := texts(r, "account_id")
			if err != nil {
				return nil, nil, err
			}
			accounts[says[0]] = ""
			if is, err := texts(r, "display_name"); err == nil {
				accounts[says[0]] = is[0]
			}
		case r.Type == service:
			open, err := r.Attribute("invoker_iam_disabled")
			if err != nil {
				return nil, nil, err
			}
			if open == cty.NilVal || open.RawEquals(cty.False) {
				continue
			}
			says, err := texts(r, "name")
			if err != nil {
				return nil, nil, err
			}
			grants = append(grants, Grant{"allUsers", "roles/run.invoker", "service " + says[0], r.Address})
		case ok:
			g, err := grant(r, place)
			if err != nil {
				return nil, nil, err
			}
			grants = append(grants, g...)
		}
	}
	return grants, accounts, nil
}

// grant is what one resource binds: to one member, or to several.
func grant(r tree.Resource, place string) ([]Grant, error) {
	p, ok := places[place]
	if !ok {
		return nil, fmt.Errorf("%s: the matrix has no word for what %s binds on (places)", r.Address, r.Type)
	}
	says, err := texts(r, "role")
	if err != nil {
		return nil, err
	}
	g := Grant{Role: says[0], On: p.word, Address: r.Address}
	if p.attribute != "" {
		if says, err = texts(r, p.attribute); err != nil {
			return nil, err
		}
		g.On += " " + says[0]
	}
	if says, err = texts(r, "project"); err == nil && says[0] != "PROJECT" && place == "google_project" {
		g.On = "the project " + says[0]
	}
	if strings.HasSuffix(r.Type, "_iam_member") {
		if says, err = texts(r, "member"); err != nil {
			return nil, err
		}
		g.Member = says[0]
		return []Grant{g}, nil
	}
	members, err := r.Attribute("members")
	if err != nil {
		return nil, err
	}
	if members == cty.NilVal || members.IsNull() || !members.IsWhollyKnown() {
		return nil, fmt.Errorf("%s: its members are not known before an apply", r.Address)
	}
	var out []Grant
	for _, m := range members.AsValueSlice() {
		g.Member = m.AsString()
		out = append(out, g)
	}
	return out, nil
}

// texts are attributes that have to be known.
func texts(r tree.Resource, names ...string) ([]string, error) {
	out := make([]string, len(names))
	for i, name := range names {
		v, err := r.Attribute(name)
		if err != nil {
			return nil, err
		}
		if v == cty.NilVal || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
			return nil, fmt.Errorf("%s: %s is not known before an apply", r.Address, name)
		}
		out[i] = v.AsString()
	}
	return out, nil
}

// An Account is what somebody may, in all environments together.
type Account struct {
	Is string `json:"is,omitempty"`
	// In is where there is such an account, when that is not everywhere.
	In  []string            `json:"in,omitempty"`
	May map[string][]string `json:"may"` // role → on what
}

// Environments are the names of the environments.
func Environments(root string) ([]string, error) {
	dirs, err := folders(root, EnvironmentsDir)
	for i, d := range dirs {
		dirs[i] = filepath.Base(d)
	}
	return dirs, err
}

// Granted is what the configuration grants: to accounts that it makes, and to others.
func Granted(root string) (map[string]Account, error) {
	environments, err := Environments(root)
	if err != nil {
		return nil, err
	}
	all := map[string]Account{}
	where := map[string]map[string][]string{} // member → role on what → environments
	there := map[string][]string{}            // member → environments
	for _, environment := range environments {
		grants, accounts, err := Bound(root, environment, inputs)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", environment, err)
		}
		for name, is := range accounts {
			all[name] = Account{Is: is, May: map[string][]string{}}
			there[name] = append(there[name], environment)
		}
		for _, g := range grants {
			name := general(short(g.Member), environment)
			if _, ok := all[name]; !ok {
				all[name] = Account{May: map[string][]string{}}
			}
			if where[name] == nil {
				where[name] = map[string][]string{}
			}
			if !slices.Contains(there[name], environment) {
				there[name] = append(there[name], environment)
			}
			key := g.Role + "\n" + general(placed(g.On), environment)
			if !slices.Contains(where[name][key], environment) {
				where[name][key] = append(where[name][key], environment)
			}
		}
	}
	for name, a := range all {
		if len(there[name]) < len(environments) {
			a.In = there[name]
		}
		for key, in := range where[name] {
			role, on, _ := strings.Cut(key, "\n")
			if len(in) < len(there[name]) {
				on += " in " + strings.Join(in, ", ")
			}
			a.May[role] = append(a.May[role], on)
		}
		for _, on := range a.May {
			slices.Sort(on)
		}
		all[name] = a
	}
	return all, nil
}

// short is what the matrix calls a member.
func short(member string) string {
	kind, who, _ := strings.Cut(member, ":")
	switch {
	case strings.HasPrefix(kind, "principal"):
		_, pool, _ := strings.Cut(who, "/workloadIdentityPools/")
		return "runs of " + pool
	case kind != "serviceAccount":
		return member
	case strings.HasSuffix(who, "]"):
		_, pod, _ := strings.Cut(strings.TrimSuffix(who, "]"), "[")
		return "pod " + pod
	}
	if name, ok := strings.CutSuffix(who, "@PROJECT.iam.gserviceaccount.com"); ok {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(who, "service-NUMBER@"), ".iam.gserviceaccount.com")
}

// placed is what a grant is on, with an account by its name.
func placed(on string) string {
	if rest, ok := strings.CutPrefix(on, "account "); ok {
		name, _, _ := strings.Cut(rest[strings.LastIndex(rest, "/")+1:], "@")
		return "account " + name
	}
	return on
}

// general has the word ENVIRONMENT for the name of one.
func general(text, environment string) string {
	return regexp.MustCompile(`\b`+environment+`\b`).ReplaceAllString(text, "ENVIRONMENT")
}

// differences are sentences about what is granted otherwise than was written down.
func differences(granted, written map[string]Account) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(granted)) {
		if _, ok := written[name]; !ok {
			out = append(out, fmt.Sprintf("%s is there, and %s does not know it", name, AccessFile))
		}
		out = append(out, beyond(name, granted[name], written[name], "%s may %s on %s, and "+AccessFile+" does not say so")...)
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if _, ok := granted[name]; !ok {
			out = append(out, fmt.Sprintf("%s knows %s, which is not there", AccessFile, name))
		}
		out = append(out, beyond(name, written[name], granted[name], AccessFile+" says that %s may %s on %s, and nothing grants it")...)
	}
	return out
}

func beyond(name string, a, b Account, sentence string) []string {
	var out []string
	for _, role := range slices.Sorted(maps.Keys(a.May)) {
		for _, on := range a.May[role] {
			if !slices.Contains(b.May[role], on) {
				out = append(out, fmt.Sprintf(sentence, name, role, on))
			}
		}
	}
	return out
}

// A Strong role goes further than one thing's use; who has one says why here.
type Strong struct{ Account, Role, On, Because string }

// Strongs is everything of that kind, and nothing else is granted.
var Strongs = []Strong{
	{"terraform-plan", "roles/viewer", "the project", "a plan compares all that there is with the code; the role reads no value of a secret, and no object of modules/storage"},

	{"terraform-apply", "roles/artifactregistry.admin", "the project", "the repository of images, its cleanup and who reads it"},
	{"terraform-apply", "roles/binaryauthorization.attestorsAdmin", "the project", "the attestor, and who uses it"},
	{"terraform-apply", "roles/cloudkms.admin", "the project", "key rings and keys; it does not let use them"},
	{"terraform-apply", "roles/cloudscheduler.admin", "the project", "the schedules"},
	{"terraform-apply", "roles/cloudsql.admin", "the project", "the managed instance"},
	{"terraform-apply", "roles/cloudtasks.admin", "the project", "the queues, and who may use them"},
	{"terraform-apply", "roles/compute.instanceAdmin.v1", "the project", "the machines of the database"},
	{"terraform-apply", "roles/compute.loadBalancerAdmin", "the project", "the load balancer at the edge"},
	{"terraform-apply", "roles/compute.networkAdmin", "the project", "the network, NAT, addresses"},
	{"terraform-apply", "roles/compute.securityAdmin", "the project", "firewall rules, Cloud Armor, certificates"},
	{"terraform-apply", "roles/container.admin", "the project", "the cluster, and what cluster.sh applies in it"},
	{"terraform-apply", "roles/dns.admin", "the project", "the zone for names inside"},
	{"terraform-apply", "roles/iam.serviceAccountAdmin", "the project", "the accounts of this page, and who acts as which"},
	{"terraform-apply", "roles/iam.serviceAccountUser", "the project", "a service, job or machine is made by who may act as its account"},
	{"terraform-apply", "roles/iam.workloadIdentityPoolAdmin", "the project", "how the pipeline signs in"},
	{"terraform-apply", "roles/pubsub.admin", "the project", "topics, subscriptions and their rights"},
	{"terraform-apply", "roles/redis.admin", "the project", "Redis"},
	{"terraform-apply", "roles/resourcemanager.projectIamAdmin", "the project", "the rights in the project that this page has; with it the account could give itself any, which is why only an approved run may act as it"},
	{"terraform-apply", "roles/run.admin", "the project", "services and jobs, their revisions, traffic and callers"},
	{"terraform-apply", "roles/secretmanager.admin", "the project", "secrets, and who reads each; Redis's two values are written by Terraform"},
	{"terraform-apply", "roles/servicenetworking.networksAdmin", "the project", "the peering by which managed services are reached"},
	{"terraform-apply", "roles/serviceusage.serviceUsageAdmin", "the project", "the APIs that are on"},
	{"terraform-apply", "roles/storage.admin", "the project", "buckets and their rights"},
	{"terraform-apply", "roles/storage.objectAdmin", "bucket STATE_BUCKET", "Terraform's state and its lock"},
}

// strong reports whether a role is primitive, administers, or lets act as any account.
func strong(role, on string) bool {
	switch role {
	case "roles/owner", "roles/editor", "roles/viewer", "roles/browser":
		return true
	case "roles/iam.serviceAccountUser", "roles/iam.serviceAccountTokenCreator", "roles/iam.workloadIdentityUser", "roles/secretmanager.secretAccessor":
		return strings.HasPrefix(on, "the project")
	}
	return strings.Contains(strings.ToLower(role), "admin") || !strings.HasPrefix(role, "roles/")
}

// Overmighty are sentences about strong roles that have no reason, and about reasons
// for what nobody has.
func Overmighty(granted map[string]Account, reasons []Strong) []string {
	var out []string
	used := map[Strong]bool{}
	for _, name := range slices.Sorted(maps.Keys(granted)) {
		for _, role := range slices.Sorted(maps.Keys(granted[name].May)) {
			for _, on := range granted[name].May[role] {
				i := slices.IndexFunc(reasons, func(s Strong) bool { return s.Account == name && s.Role == role && s.On == on && s.Because != "" })
				if i >= 0 {
					used[reasons[i]] = true
				} else if strong(role, on) {
					out = append(out, fmt.Sprintf("%s has the strong role %s on %s, for which Strongs gives no reason", name, role, on))
				}
			}
		}
	}
	for _, s := range reasons {
		if !used[s] {
			out = append(out, fmt.Sprintf("Strongs has a reason for %s as %s on %s, or none, and it is not granted", s.Account, s.Role, s.On))
		}
	}
	return out
}
