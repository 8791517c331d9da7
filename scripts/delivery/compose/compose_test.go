package compose

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../../.."

func load(t *testing.T, variables ...string) types.Services {
	t.Helper()
	project, err := Load(t.Context(), root, variables...)
	if err != nil {
		t.Fatal(err)
	}
	return project.Services
}

// value is a variable of a service, which must be there.
func value(t *testing.T, services types.Services, service, name string) string {
	t.Helper()
	v := services[service].Environment[name]
	if v == nil || *v == "" {
		t.Fatalf("%s does not have %s", service, name)
	}
	return *v
}

// Clients reach every function that serves them, and no other is there: nobody would
// call it.
func TestEveryFunctionThatServesClientsIsThere(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "functions", "functions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Functions []struct{ Name, Folder, Entry, Kind string }
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	services := load(t)
	var upstreams []string
	for _, f := range list.Functions {
		s, there := services[f.Name]
		if there != (f.Kind == "http") {
			t.Errorf("%s, called by %s: there is %v", f.Name, f.Kind, there)
		}
		if f.Kind != "http" {
			continue
		}
		upstreams = append(upstreams, f.Name+"=http://"+f.Name+":8080")
		if s.Build == nil || s.Build.Target != "function" || s.Build.Args["FUNCTION"] == nil || *s.Build.Args["FUNCTION"] != f.Folder {
			t.Errorf("%s is not built from %s: %+v", f.Name, f.Folder, s.Build)
		}
		if got := value(t, services, f.Name, "FUNCTION_TARGET"); got != f.Entry {
			t.Errorf("%s serves %s, not %s", f.Name, got, f.Entry)
		}
		if _, waits := services["router"].DependsOn[f.Name]; !waits {
			t.Errorf("the router does not wait for %s", f.Name)
		}
	}
	if len(upstreams) == 0 {
		t.Fatal("no functions")
	}
	got := strings.Split(value(t, services, "router", "UPSTREAMS"), ",")
	if slices.Sort(got); !slices.Equal(got, upstreams) {
		t.Errorf("the router knows %q, not %q", got, upstreams)
	}
}

// The router answers 404 to a host that it does not know, and without its public keys
// no function takes a token.
func TestFunctionsReachTheKeys(t *testing.T) {
	t.Parallel()
	services := load(t)
	at, err := url.Parse(value(t, services, "tasks", "JWKS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	if at.Hostname() != "router" || !slices.Contains(strings.Split(value(t, services, "router", "PLAIN_HOSTS"), ","), at.Hostname()) {
		t.Errorf("the keys are asked of %s, a host that the router does not serve", at.Hostname())
	}
}

// Nothing but the router is reached from the machine, and that from no other machine.
// What runs of ours can do nothing but run. What serves comes back after a fault.
func TestContainment(t *testing.T) {
	t.Parallel()
	services := load(t)
	stages, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	once := map[string]bool{}
	for _, s := range services {
		for name, d := range s.DependsOn {
			if _, there := services[name]; !there {
				t.Errorf("%s waits for %s, which is not there", s.Name, name)
			}
			if d.Condition == types.ServiceConditionCompletedSuccessfully {
				once[name] = true
			}
			if d.Condition == types.ServiceConditionHealthy && services[name].HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has none", s.Name, name)
			}
		}
	}
	for name, s := range services {
		for _, p := range s.Ports {
			if name != "router" || p.HostIP != "127.0.0.1" {
				t.Errorf("%s is open on %q %s", name, p.HostIP, p.Published)
			}
		}
		if s.Privileged || s.NetworkMode != "" || s.User == "root" || s.User == "0" {
			t.Errorf("%s has too much", name)
		}
		if want := map[bool]string{false: types.RestartPolicyUnlessStopped}[once[name]]; s.Restart != want {
			t.Errorf("%s is started again: %q, not %q", name, s.Restart, want)
		}
		if s.Build == nil {
			if !regexp.MustCompile(`^[a-z/]+:v?\d+\.\d+`).MatchString(s.Image) {
				t.Errorf("%s is no pinned image of %s", s.Image, name)
			}
			continue
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
			t.Errorf("%s may write to its image, has capabilities or may get them", name)
		}
		if s.Build.Target == "" || !regexp.MustCompile(`(?m)^FROM \S+ AS `+s.Build.Target+`$`).Match(stages) {
			t.Errorf("the Dockerfile has no stage %q for %s", s.Build.Target, name)
		}
	}
}

// The database is a distributed one, except for who asks for another.
func TestTheDatabase(t *testing.T) {
	t.Parallel()
	services := load(t)
	if got := services["citus"].Image; !strings.HasPrefix(got, "citusdata/citus:") {
		t.Errorf("the database is %s", got)
	}
	if got := value(t, services, "bootstrap", "CITUS"); got != "true" {
		t.Errorf("CITUS is %s", got)
	}
	// The image's server of its first start listens on the socket alone, and goes away.
	if test := services["citus"].HealthCheck.Test; !slices.Contains(test, "127.0.0.1") {
		t.Errorf("health is asked by %q", test)
	}
	services = load(t, "DATABASE_IMAGE=postgres:17-alpine", "CITUS=false")
	if got := services["citus"].Image + " " + value(t, services, "bootstrap", "CITUS"); got != "postgres:17-alpine false" {
		t.Errorf("another database is not taken: %s", got)
	}
}

func TestLoadRefusesWhatComposeDoes(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an unknown key":       "services: {a: {image: b, restarts: always}}",
		"a service that waits": "services: {a: {image: b, depends_on: [c]}}",
		"no YAML":              "services: [",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, File), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(t.Context(), dir); err == nil {
			t.Errorf("%s passed", name)
		}
	}
	if _, err := Load(t.Context(), t.TempDir()); err == nil {
		t.Error("no file passed")
	}
}
