package terraform

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/coditect/platform/scripts/release"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/subdomain"
)

// configuration is what all modules say.
type configuration struct {
	bodies map[string][]*hclsyntax.Body // by module
}

func read(t *testing.T) configuration {
	t.Helper()
	c := configuration{map[string][]*hclsyntax.Body{}}
	modules, err := Modules(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modules {
		files, err := filepath.Glob(filepath.Join(root, m, "*.tf"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			body, _, err := parsed(f)
			if err != nil {
				t.Fatal(err)
			}
			c.bodies[filepath.Base(m)] = append(c.bodies[filepath.Base(m)], body)
		}
	}
	return c
}

func (c configuration) blocks(module, kind string, labels ...string) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, body := range c.bodies[module] {
		for _, b := range body.Blocks {
			if b.Type == kind && len(b.Labels) >= len(labels) && slices.Equal(b.Labels[:len(labels)], labels) {
				out = append(out, b)
			}
		}
	}
	return out
}

// values are an attribute of all resources of a type, as far as it follows from
// defaults, with PROJECT for the project and each of keys for each.key.
func (c configuration) values(typ, attribute string, keys ...string) []string {
	var out []string
	for module := range c.bodies {
		variables := map[string]cty.Value{"project_id": cty.StringVal("PROJECT")}
		for _, v := range c.blocks(module, "variable") {
			if d, ok := v.Body.Attributes["default"]; ok {
				if value, faults := d.Expr.Value(nil); !faults.HasErrors() {
					variables[v.Labels[0]] = value
				}
			}
		}
		locals := map[string]cty.Value{}
		for _, l := range c.blocks(module, "locals") {
			for name, a := range l.Body.Attributes {
				if value, faults := a.Expr.Value(&hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(variables)}}); !faults.HasErrors() {
					locals[name] = value
				}
			}
		}
		for _, r := range c.blocks(module, "resource", typ) {
			a, ok := r.Body.Attributes[attribute]
			if !ok {
				continue
			}
			for _, key := range append([]string{""}, keys...) {
				each := cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": cty.StringVal(key)})
				context := &hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(variables), "local": cty.ObjectVal(locals)}}
				if key != "" {
					context.Variables["each"] = each
				}
				value, faults := a.Expr.Value(context)
				if !faults.HasErrors() && value.Type() == cty.String && value.IsKnown() {
					out = append(out, value.AsString())
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// local is an expression of a module's locals.
func (c configuration) local(t *testing.T, module, name string) hclsyntax.Expression {
	t.Helper()
	for _, l := range c.blocks(module, "locals") {
		if a, ok := l.Body.Attributes[name]; ok {
			return a.Expr
		}
	}
	t.Fatalf("%s has no local %s", module, name)
	return nil
}

// keys are those of an object that is written out.
func keys(t *testing.T, e hclsyntax.Expression) []string {
	t.Helper()
	object, ok := e.(*hclsyntax.ObjectConsExpr)
	if !ok {
		t.Fatalf("%s: not an object that is written out", e.Range())
	}
	var out []string
	for _, item := range object.Items {
		value, faults := item.KeyExpr.Value(nil)
		if faults.HasErrors() {
			t.Fatal(faults)
		}
		out = append(out, value.AsString())
	}
	return out
}

// literals are all strings that stand in an expression.
func literals(e hclsyntax.Expression) []string {
	var out []string
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String {
			out = append(out, l.Val.AsString())
		}
		return nil
	})
	return out
}

func text(t *testing.T, patterns ...string) string {
	t.Helper()
	var b strings.Builder
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(root, p))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", p, err)
		}
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(raw)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func found(all, pattern string) []string {
	var out []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(all, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// What a release and the cluster call by name is what Terraform makes under that
// name: neither side can change it alone.
func TestNamesOfARelease(t *testing.T) {
	t.Parallel()
	c := read(t)
	scripts := text(t, "scripts/delivery/*.sh", "cloudbuild.yaml", ".github/workflows/*.yml")
	manifests := text(t, "terraform/kubernetes/*/*.yaml", "terraform/kubernetes/overlays/*/*.yaml")
	var workloads []string
	for _, m := range c.blocks("platform", "module", "gke") {
		workloads = keys(t, m.Body.Attributes["workloads"].Expr)
	}
	accounts := c.values("google_service_account", "account_id", workloads...)
	kept := append(literals(c.local(t, "platform", "secrets")), keys(t, c.local(t, "platform", "cluster_secrets"))...)
	for name, tt := range map[string]struct {
		used, made []string
	}{
		"jobs":                    {found(scripts, `gcloud run jobs \w+ (\w+)`), c.values("google_cloud_run_v2_job", "name")},
		"buckets":                 {found(scripts, `gs://\$(PROJECT-\w+)`), c.values("google_storage_bucket", "name")},
		"the cluster":             {found(scripts, `(?:get-credentials |filter=name=)(\w+)`), c.values("google_container_cluster", "name")},
		"the registry":            {found(scripts, `REGISTRY=\$REGION-docker\.pkg\.dev/\$PROJECT/(\w+)`), c.values("google_artifact_registry_repository", "repository_id")},
		"the ring of keys":        {found(scripts, `keyRings/([\w-]+)`), c.values("google_kms_key_ring", "name")},
		"the key":                 {found(scripts, `cryptoKeys/([\w-]+)`), c.values("google_kms_crypto_key", "name")},
		"the attestor":            {found(scripts, `--attestor=([\w-]+)`), c.values("google_binary_authorization_attestor", "name")},
		"accounts of a release":   {found(scripts, `serviceAccounts/([\w-]+)@`), accounts},
		"accounts of the cluster": {found(manifests, `([\w-]+)@coditect-\w+\.iam\.gserviceaccount`), accounts},
		"secrets of the cluster":  {found(manifests, `secrets/([\w-]+)/versions`), kept},
		"addresses inside":        {found(manifests, `load-balancer-ip-addresses: ([\w-]+)`), c.values("google_compute_address", "name")},
		"groups of endpoints":     {found(manifests, `"name": "([\w-]+)"`), found(strings.Join(literals(c.local(t, "platform", "hydra_groups")), ""), `/networkEndpointGroups/([\w-]+)$`)},
	} {
		if len(tt.used) == 0 {
			t.Errorf("%s: none is named any more", name)
		}
		for _, u := range tt.used {
			if !slices.Contains(tt.made, u) {
				t.Errorf("%s: %s is used, and Terraform makes %v", name, u, tt.made)
			}
		}
	}
	// The rest of what a job is told by its script.
	for _, want := range []string{"jobs update migrate", "jobs update smoke", "jobs execute migrate", "jobs execute smoke"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no script has %q", want)
		}
	}
}

// The edge refuses no method that an operation has, and takes no other but the two that
// every operation has.
func TestTheEdgeTakesTheMethodsOfOperations(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal([]byte(text(t, "router/openapi.json")), &document); err != nil {
		t.Fatal(err)
	}
	methods := map[string]bool{"HEAD": true, "OPTIONS": true}
	for _, path := range document.Paths {
		for method := range path {
			if method != "parameters" {
				methods[strings.ToUpper(method)] = true
			}
		}
	}
	want := strings.Join(slices.Sorted(maps.Keys(methods)), "|")
	if got := found(text(t, "terraform/modules/router/main.tf"), `request\.method\.matches\('\^\(([A-Z|]+)\)\$'\)`); !slices.Equal(got, []string{want}) {
		t.Errorf("the edge takes %v, and operations have %s", got, want)
	}
}

// Hydra says that its tokens are from the host at which the load balancer has it, and
// no tenant can be given that host.
func TestHydraIsWhereItSays(t *testing.T) {
	t.Parallel()
	c := read(t)
	host, faults := c.local(t, "router", "oauth_host").Value(&hcl.EvalContext{Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{"base_domain": cty.StringVal("BASE_DOMAIN")})}})
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	if said := found(text(t, "terraform/kubernetes/base/hydra.yaml"), `URLS_SELF_ISSUER, value: "https://([^"]+)"`); !slices.Equal(said, []string{host.AsString()}) {
		t.Errorf("Hydra says that it is %v, and the load balancer has it at %s", said, host.AsString())
	}
	label, _, _ := strings.Cut(host.AsString(), ".")
	if fault := subdomain.Fault(label); fault != "is reserved" {
		t.Errorf("a tenant could be %s: %q", label, fault)
	}
}

// Every account that Terraform makes is in the page that says who may what.
func TestAccountsAreOnThePage(t *testing.T) {
	t.Parallel()
	c := read(t)
	page := text(t, Page)
	accounts := c.values("google_service_account", "account_id", "hydra", "pgbouncer", "cloudtasks", "pubsub", "scheduler")
	if len(accounts) < 10 {
		t.Errorf("%v", accounts)
	}
	for _, a := range accounts {
		// Of each.key in all modules only some are.
		if strings.HasPrefix(a, "gke-") && a != "gke-hydra" && a != "gke-pgbouncer" || strings.HasPrefix(a, "push-") && (a == "push-hydra" || a == "push-pgbouncer") {
			continue
		}
		if !strings.Contains(page, "`"+a+"`") {
			t.Errorf("%s is not in %s", a, Page)
		}
	}
}

// Every alert names a page, and the page is there and in the list of pages.
func TestEveryAlertHasItsPage(t *testing.T) {
	t.Parallel()
	c := read(t)
	pages := map[string]string{}
	forExpr, ok := c.local(t, "monitoring", "runbook").(*hclsyntax.ForExpr)
	if !ok {
		t.Fatal("monitoring's runbook is not made of a list any more")
	}
	list, faults := forExpr.CollExpr.Value(nil)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	index := text(t, "docs/runbooks/README.md")
	for name, page := range list.AsValueMap() {
		file := page.AsString()
		pages[name] = file
		if info, err := os.Stat(filepath.Join(root, "docs/runbooks", file)); err != nil || info.Size() < 500 {
			t.Errorf("%s: %v", file, err)
		}
		if file == "README.md" || !strings.Contains(index, "]("+file+")") {
			t.Errorf("%s is not a page of the list", file)
		}
	}
	alerts := c.blocks("monitoring", "resource", "google_monitoring_alert_policy")
	if len(alerts) < 5 {
		t.Errorf("%d kinds of alert", len(alerts))
	}
	used := regexp.MustCompile(`local\.runbook(?:\.(\w+)|\[each\.value\.runbook\])`)
	all := text(t, "terraform/modules/monitoring/*.tf")
	raw := text(t, "terraform/modules/monitoring/main.tf")
	for _, a := range alerts {
		said := ""
		for _, b := range a.Body.Blocks {
			if b.Type == "documentation" {
				said = string(b.Body.Attributes["content"].Expr.Range().SliceBytes([]byte(raw)))
			}
		}
		m := used.FindStringSubmatch(said)
		if m == nil || m[1] != "" && pages[m[1]] == "" {
			t.Errorf("%s says %q, which leads to no page", a.Labels[1], said)
		}
	}
	for _, name := range found(all, `runbook += "(\w+)"`) {
		if pages[name] == "" {
			t.Errorf("an alert has the page %q, which is none", name)
		}
	}
	// A page of many alerts has a section for each: what GitHub calls its heading.
	sections := regexp.MustCompile(`runbook += "(\w+)", section += "([^"]+)"`).FindAllStringSubmatch(all, -1)
	if want := strings.Count(all, " section = "); len(sections) < 9 || len(sections) != want {
		t.Errorf("%d of %d alerts name their section behind their page", len(sections), want)
	}
	for _, m := range sections {
		headings := map[string]bool{}
		for _, h := range found(text(t, "docs/runbooks/"+pages[m[1]]), `(?m)^##+ (.+)$`) {
			headings[strings.ReplaceAll(strings.ToLower(h), " ", "-")] = true
		}
		if !headings[m[2]] {
			t.Errorf("%s has no section %s", pages[m[1]], m[2])
		}
	}
}

// A key is where the program looks for it: what a module mounts is read by the
// source that the program has, under the same name.
func TestMountedSecretsAreRead(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"function", "router"} {
		raw := text(t, "terraform/modules/"+m+"/main.tf")
		if !regexp.MustCompile(`SECRETS_DIR +?= "/secrets"`).MatchString(raw) {
			t.Errorf("%s: SECRETS_DIR is not /secrets", m)
		}
		if mounts := found(raw, `mount_path = "/secrets/([^"]+)"`); len(mounts) != 1 || mounts[0] != "${volume_mounts.value}" && mounts[0] != "hop-key" {
			t.Errorf("%s mounts %v", m, mounts)
		}
		items := found(raw, `(?s)items \{\s*version = "latest"\s*path +?= "([^"]+)"`)
		if len(items) != 1 {
			t.Fatalf("%s: %v", m, items)
		}
		source := secrets.Directory(fstest.MapFS{"hop-key/" + items[0]: {Data: []byte("k")}})
		if got, err := source.Fetch(t.Context(), "hop-key"); err != nil || string(got.Data) != "k" {
			t.Errorf("%s: %v", m, err)
		}
	}
}

// What the log's metrics look for is what some part says: a message that is worded
// anew would silence its alert.
func TestAlertsLookForWhatIsSaid(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, folder := range []string{"shared", "router", "functions", "schedulers"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(p)
			code.Write(raw)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	looked := 0
	for _, filter := range found(text(t, "terraform/modules/monitoring/main.tf"), `filter = "(resource[^\n]*?jsonPayload[^\n]*?)", runbook`) {
		for _, words := range found(filter, `\\"([A-Za-z ]+)\\"`) {
			if words == "router" { // a service, not something said
				continue
			}
			looked++
			if !strings.Contains(code.String(), `"`+words) {
				t.Errorf("nobody says %q, which %s looks for", words, filter)
			}
		}
	}
	if looked < 6 {
		t.Errorf("%d messages are looked for", looked)
	}
}

// A release is judged by what is promised and watched.
func TestAReleaseIsJudgedByTheObjectives(t *testing.T) {
	t.Parallel()
	c := read(t)
	number := func(e hclsyntax.Expression) float64 {
		t.Helper()
		value, faults := e.Value(nil)
		if faults.HasErrors() || value.Type() != cty.Number {
			t.Fatalf("%s: %v", e.Range(), faults)
		}
		n, _ := value.AsBigFloat().Float64()
		return n
	}
	for name, want := range map[string]float64{"availability": release.Availability, "latency_ms": float64(release.Latency.Milliseconds()), "latency_goal": release.LatencyGoal} {
		for _, v := range c.blocks("monitoring", "variable", name) {
			if got := number(v.Body.Attributes["default"].Expr); got != want {
				t.Errorf("%s is %v, and a release is judged by %v", name, got, want)
			}
		}
		for _, m := range c.blocks("platform", "module", "monitoring") {
			if _, other := m.Body.Attributes[name]; other {
				t.Errorf("platform sets %s: then a release must be judged by that", name)
			}
		}
	}
	burns, faults := c.local(t, "monitoring", "burns").Value(nil)
	if faults.HasErrors() {
		t.Fatal(faults)
	}
	if rate, _ := burns.GetAttr("fast").GetAttr("rate").AsBigFloat().Float64(); rate != release.Burn {
		t.Errorf("the fast alert sounds at %v, and a release goes back at %v", rate, release.Burn)
	}
	if len(c.blocks("monitoring", "variable", "availability")) != 1 || len(c.blocks("platform", "module", "monitoring")) != 1 {
		t.Error("the module's variables were not found")
	}
}
