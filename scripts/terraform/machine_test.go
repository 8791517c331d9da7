package terraform

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/itchyny/gojq"
)

// TestMain lets the test's own program be the jq that machine.sh calls.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "jq" {
		os.Exit(jq(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// pretended is what only a machine that is one has: each notes its call. The disk is
// neither mounted nor formatted, and a file that is installed is an empty one.
const pretended = `#!/bin/sh
name=${0##*/}
case $name in
install) shift; owner=$1; shift 2; mode=$1; for file; do :; done; : >"$file"; file=${file##*/}; echo "install $owner $mode ${file%.part}" >>"$CALLS" ;;
*) echo "$name $*" >>"$CALLS" ;;
esac
case $name in mountpoint | blkid) exit 1 ;; esac
`

// jq is as much of the program of that name as machine.sh uses.
func jq(args []string) int {
	var names []string
	var values []any
	var input any
	var filter string
	raw := false
	decode := func(text []byte) (v any) {
		if json.Unmarshal(text, &v) != nil {
			os.Exit(2)
		}
		return v
	}
	null := false
	for i := 0; i < len(args); i++ {
		switch a := args[i]; a {
		case "-n":
			null = true
		case "-re":
			raw = true
		case "--arg", "--argjson":
			var v any = args[i+2]
			if a == "--argjson" {
				v = decode([]byte(args[i+2]))
			}
			names, values = append(names, "$"+args[i+1]), append(values, v)
			i += 2
		default:
			filter = a
		}
	}
	if !null {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return 2
		}
		input = decode(text)
	}
	query, err := gojq.Parse(filter)
	if err != nil {
		return 3
	}
	code, err := gojq.Compile(query, gojq.WithVariables(names), gojq.WithEnvironLoader(os.Environ))
	if err != nil {
		return 3
	}
	v, ok := code.Run(input, values...).Next()
	if _, failed := v.(error); !ok || failed || v == nil {
		return 5
	}
	if text, is := v.(string); is && raw {
		_, err = os.Stdout.WriteString(text + "\n")
	} else {
		err = json.NewEncoder(os.Stdout).Encode(v)
	}
	if err != nil {
		return 2
	}
	return 0
}

// machine is one that machine.sh runs on, and what Google tells it.
type machine struct {
	t          *testing.T
	etc, data  string
	bin, calls string
	server     *httptest.Server

	mu         sync.Mutex
	attributes map[string]string
	secrets    map[string]string
}

const awkward = `a "b" $c 'd' \e`

func newMachine(t *testing.T, attributes map[string]string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{
		t: t, etc: filepath.Join(dir, "etc"), data: filepath.Join(dir, "data"), bin: filepath.Join(dir, "bin"), calls: filepath.Join(dir, "calls"),
		attributes: attributes,
		secrets: map[string]string{
			"database-ca": "the authority\n", "citus-certificate": "the certificate\n", "citus-key": "the key\n",
			"citus-superuser-password": awkward, "citus-replication-password": "r",
		},
	}
	m.server = httptest.NewServer(http.HandlerFunc(m.google))
	t.Cleanup(m.server.Close)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(m.bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(m.bin, "jq")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"systemctl", "install", "chown", "mountpoint", "blkid", "mkfs.ext4", "mount"} {
		if err := os.WriteFile(filepath.Join(m.bin, name), []byte(pretended), 0o700); err != nil { //nolint:gosec // It is run.
			t.Fatal(err)
		}
	}
	return m
}

// google answers as the metadata server and Secret Manager do.
func (m *machine) google(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name, ok := strings.CutPrefix(r.URL.Path, "/v1/projects/example/secrets/"); ok {
		value, known := m.secrets[strings.TrimSuffix(name, "/versions/latest:access")]
		switch {
		case r.Header.Get("Authorization") != "Bearer token":
			w.WriteHeader(http.StatusUnauthorized)
		case !known:
			w.WriteHeader(http.StatusNotFound)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"payload": map[string]string{"data": base64.StdEncoding.EncodeToString([]byte(value))}})
		}
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/")
	answer, known := map[string]string{
		"project/project-id": "example", "instance/name": "citus-coordinator-0", "instance/hostname": "citus-coordinator-0.zone.c.example.internal",
		"instance/network-interfaces/0/ip": "10.0.16.7", "instance/service-accounts/default/token": `{"access_token":"token","expires_in":3599}`,
	}[path]
	if name, ok := strings.CutPrefix(path, "instance/attributes/"); ok {
		answer, known = m.attributes[name]
	}
	if !known || r.Header.Get("Metadata-Flavor") != "Google" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write([]byte(answer))
}

// boot runs the script, and says what it called.
func (m *machine) boot() (calls []string, err error) {
	m.t.Helper()
	if err := os.Remove(m.calls); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	cmd := exec.CommandContext(m.t.Context(), "bash", filepath.Join(root, "terraform", "modules", "citus", "machine.sh"))
	cmd.Env = append(os.Environ(), "PATH="+m.bin+":"+os.Getenv("PATH"), "CALLS="+m.calls, "ETC="+m.etc, "DATA="+m.data,
		"METADATA_URL="+m.server.URL+"/computeMetadata/v1", "SECRETS_URL="+m.server.URL+"/v1")
	output, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Logf("%s", output)
	}
	raw, _ := os.ReadFile(m.calls)
	return strings.Split(strings.TrimSpace(string(raw)), "\n"), err
}

// told reads a file that the script wrote, as JSON.
func told[T any](t *testing.T, m *machine, file string) (out T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(m.etc, "coditect", file))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, raw)
	}
	return out
}

func aNode(t *testing.T) *machine {
	t.Helper()
	return newMachine(t, map[string]string{
		"role": "node", "scope": "citus", "citus-group": "1", "max-connections": "400", "database": "coditect", "machines-range": "10.0.16.0/24",
		"etcd-hosts": "e0:2379,e1:2379,e2:2379", "backup-bucket": "backups",
	})
}

type tls struct{ SSLMode, SSLRootCert, SSLCert, SSLKey string }

// A node of the database is one of its group, speaks TLS to everybody, and lets in
// other machines by their certificate and everybody else by password.
func TestNode(t *testing.T) {
	t.Parallel()
	m := aNode(t)
	calls, err := m.boot()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"mkfs.ext4 -m 0 -q /dev/disk/by-id/google-data", "mount -o noatime /dev/disk/by-id/google-data " + m.data,
		"install postgres 0600 patroni.yaml", "install postgres 0600 machine.key",
		"systemctl enable coditect-database.service", "systemctl enable coditect-backup.timer",
	} {
		if !slices.Contains(calls, want) {
			t.Errorf("not called: %s\n%s", want, strings.Join(calls, "\n"))
		}
	}
	p := told[struct {
		Scope, Name string
		RestAPI     struct {
			Listen     string
			Connect    string `json:"connect_address"`
			VerifyWith string `json:"verify_client"`
			CAFile     string
		}
		Etcd3 struct {
			Hosts                       []string
			Protocol, CACert, Cert, Key string
		}
		Citus struct {
			Group    int
			Database string
		}
		Bootstrap struct {
			DCS struct {
				Synchronous bool `json:"synchronous_mode"`
				PostgreSQL  struct{ Parameters map[string]any }
			}
		}
		PostgreSQL struct {
			Authentication map[string]struct {
				tls
				Username, Password string
			}
			Parameters map[string]string
			HBA        []string `json:"pg_hba"`
		}
	}](t, m, "patroni.yaml")
	if p.Scope != "citus" || p.Citus.Group != 1 || p.Citus.Database != "coditect" || p.Name != "citus-coordinator-0" || !p.Bootstrap.DCS.Synchronous {
		t.Errorf("it is another: %+v", p)
	}
	if p.RestAPI.VerifyWith != "optional" || p.RestAPI.CAFile == "" || !strings.HasSuffix(p.RestAPI.Connect, ".internal:8008") {
		t.Errorf("anybody may restart it: %+v", p.RestAPI)
	}
	if len(p.Etcd3.Hosts) != 3 || p.Etcd3.Protocol != "https" || p.Etcd3.CACert == "" || p.Etcd3.Cert == "" || p.Etcd3.Key == "" {
		t.Errorf("etcd: %+v", p.Etcd3)
	}
	if got := p.Bootstrap.DCS.PostgreSQL.Parameters; got["max_connections"] != 400.0 || got["max_prepared_transactions"] != 800.0 || got["wal_level"] != "logical" {
		t.Errorf("parameters of all nodes: %v", got)
	}
	for name, want := range map[string]string{"superuser": awkward, "replication": "r"} {
		if a := p.PostgreSQL.Authentication[name]; a.Password != want || a.SSLMode != "verify-ca" || a.SSLRootCert == "" || a.SSLCert == "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if got := p.PostgreSQL.Parameters; got["ssl"] != "on" || got["archive_mode"] != "on" || got["archive_command"] != "wal-g wal-push %p" || !strings.Contains(got["citus.node_conninfo"], "sslmode=verify-ca") {
		t.Errorf("parameters: %v", got)
	}
	if len(p.PostgreSQL.HBA) == 0 {
		t.Fatal("nobody gets in")
	}
	for _, line := range p.PostgreSQL.HBA {
		f := strings.Fields(line)
		switch {
		case line == "local all postgres peer":
		case f[0] != "hostssl":
			t.Errorf("without TLS: %s", line)
		case !strings.Contains(line, "clientcert=verify-ca") && f[len(f)-1] != "scram-sha-256":
			t.Errorf("without a password or a certificate: %s", line)
		case f[2] == "postgres" && f[3] == "0.0.0.0/0" || f[1] == "replication" && !strings.Contains(line, "10.0.16.0/24"):
			t.Errorf("from anywhere: %s", line)
		}
	}
	for link, want := range map[string]string{"root.crt": "the authority\n", "postgresql.crt": "the certificate\n", "postgresql.key": "the key\n"} {
		if got, err := os.ReadFile(filepath.Join(m.data, ".postgresql", link)); err != nil || string(got) != want {
			t.Errorf("Citus shows %s: %q, %v", link, got, err)
		}
	}
	if env, err := os.ReadFile(filepath.Join(m.etc, "coditect", "wal-g.env")); err != nil || !strings.Contains(string(env), "WALG_GS_PREFIX=gs://backups/citus/group-1\n") {
		t.Errorf("backups: %s, %v", env, err)
	}
}

// A boot that finds everything as it was restarts nothing; a certificate that was
// renewed is read without a restart.
func TestBootAgain(t *testing.T) {
	t.Parallel()
	m := aNode(t)
	if _, err := m.boot(); err != nil {
		t.Fatal(err)
	}
	calls, err := m.boot()
	if err != nil || !slices.Contains(calls, "systemctl start coditect-database.service") || slices.ContainsFunc(calls, func(c string) bool { return strings.Contains(c, "restart") }) {
		t.Errorf("%v: %q", err, calls)
	}
	m.mu.Lock()
	m.secrets["citus-certificate"] = "another\n"
	m.mu.Unlock()
	if calls, err = m.boot(); err != nil || !slices.Contains(calls, "systemctl reload-or-restart coditect-database.service") {
		t.Errorf("%v: %q", err, calls)
	}
}

// What cannot be read starts nothing, and leaves what was there.
func TestBootWithoutASecret(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"database-ca", "citus-key", "citus-superuser-password"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := aNode(t)
			m.mu.Lock()
			delete(m.secrets, name)
			m.mu.Unlock()
			calls, err := m.boot()
			if err == nil || slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "systemctl") }) {
				t.Errorf("%v: %q", err, calls)
			}
			if _, err := os.Stat(filepath.Join(m.etc, "coditect", "patroni.yaml")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a configuration without it: %v", err)
			}
		})
	}
}

// Members of etcd know each other by certificate, and so do their clients.
func TestConsensus(t *testing.T) {
	t.Parallel()
	const members = "etcd-0=https://a:2380,etcd-1=https://b:2380,etcd-2=https://c:2380"
	m := newMachine(t, map[string]string{"role": "consensus", "scope": "citus", "etcd-members": members})
	calls, err := m.boot()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(calls, "systemctl enable coditect-etcd.service") || !slices.Contains(calls, "install etcd 0600 machine.key") {
		t.Errorf("%q", calls)
	}
	e := told[map[string]any](t, m, "etcd.yaml")
	if e["initial-cluster"] != members || e["enable-grpc-gateway"] != true || e["listen-client-urls"] != "https://10.0.16.7:2379" || e["advertise-client-urls"] != "https://citus-coordinator-0.zone.c.example.internal:2379" {
		t.Errorf("%v", e)
	}
	for _, side := range []string{"client-transport-security", "peer-transport-security"} {
		s, _ := e[side].(map[string]any)
		if s["client-cert-auth"] != true || s["trusted-ca-file"] == "" || s["cert-file"] == "" {
			t.Errorf("%s: %v", side, s)
		}
	}
}

func TestMachineOfNoRole(t *testing.T) {
	t.Parallel()
	m := newMachine(t, map[string]string{"role": "other", "scope": "citus"})
	if calls, err := m.boot(); err == nil {
		t.Errorf("%q", calls)
	}
}
