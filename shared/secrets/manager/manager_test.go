package manager

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/secrets"
	"github.com/coditect/platform/shared/standin/secretmanager"
)

func serve(t *testing.T, s pb.SecretManagerServiceServer, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	pb.RegisterSecretManagerServiceServer(g, s)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	return l.Addr().String()
}

func TestFetchFollowsRotation(t *testing.T) {
	t.Parallel()
	server := secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")})
	src := New(Config{Project: "local", Endpoint: serve(t, server, "127.0.0.1:0")})
	t.Cleanup(func() { src.Close() })
	for i, want := range []string{"one", "two"} {
		p, err := src.Fetch(t.Context(), "hop-key")
		if err != nil || string(p.Data) != want || p.Version != string(rune('1'+i)) {
			t.Errorf("got %s (%s), %v; want %s", p.Data, p.Version, err, want)
		}
		if _, err := server.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{
			Parent: "projects/local/secrets/hop-key", Payload: &pb.SecretPayload{Data: []byte("two")}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := src.Fetch(t.Context(), "none"); !errors.Is(err, secrets.ErrAbsent) {
		t.Errorf("an unknown secret gives %v", err)
	}
}

func TestOpenPrefersTheEnvironment(t *testing.T) {
	t.Parallel()
	addr := serve(t, secretmanager.New("local", map[string][]byte{"hop-key": []byte("managed"), "signing-keys": []byte("managed")}), "127.0.0.1:0")
	store, src := Open(config.Map(map[string]string{"SIGNING_KEYS": "mounted"}), Config{Project: "local", Endpoint: addr}, secrets.Config{})
	t.Cleanup(func() { src.Close() })
	for name, want := range map[string]string{"signing-keys": "mounted", "hop-key": "managed"} {
		if got, _, err := store.Value(t.Context(), name); err != nil || string(got) != want {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
}

// The server comes up after the first attempts: nothing may be remembered as
// failed.
func TestRecoversOnceTheServerIsThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	store, src := Open(config.Map(nil), Config{Project: "local", Endpoint: addr}, secrets.Config{Timeout: 100 * time.Millisecond})
	t.Cleanup(func() { src.Close() })
	if _, _, err := store.Value(t.Context(), "hop-key"); errs.KindOf(err) != errs.Unavailable {
		t.Fatalf("without a server: %v", err)
	}
	serve(t, secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")}), addr)
	deadline, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		got, _, err := store.Value(deadline, "hop-key")
		if err == nil && string(got) == "one" {
			return
		}
		if deadline.Err() != nil {
			t.Fatalf("never recovered: %v", err)
		}
	}
}

type damaging struct {
	*secretmanager.Server
	drop bool
}

func (d damaging) AccessSecretVersion(ctx context.Context, in *pb.AccessSecretVersionRequest) (*pb.AccessSecretVersionResponse, error) {
	out, err := d.Server.AccessSecretVersion(ctx, in)
	if err == nil && d.drop {
		out.Payload.DataCrc32C = nil
	} else if err == nil {
		out.Payload.Data[0] ^= 1
	}
	return out, err
}

func TestDamagedPayloadIsRefused(t *testing.T) {
	t.Parallel()
	for _, drop := range []bool{true, false} {
		server := damaging{secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")}), drop}
		src := New(Config{Project: "local", Endpoint: serve(t, server, "127.0.0.1:0")})
		t.Cleanup(func() { src.Close() })
		if _, err := src.Fetch(t.Context(), "hop-key"); err == nil || errors.Is(err, secrets.ErrAbsent) {
			t.Errorf("dropped %v: %v", drop, err)
		}
	}
}

func TestNothingIsDialledBeforeUse(t *testing.T) {
	t.Parallel()
	src := New(Config{Project: "local"})
	if err := src.Close(); err != nil || src.client != nil {
		t.Errorf("%v %v", src.client, err)
	}
	bad := New(Config{Project: "local", Endpoint: "\x00"})
	for range 2 {
		if _, err := bad.Fetch(t.Context(), "x"); err == nil {
			t.Error("an endpoint that is none was accepted")
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := config.Load[Config](config.Map(map[string]string{"GOOGLE_CLOUD_PROJECT": "a/b"})); err == nil {
		t.Error("a path was accepted as a project")
	}
	if _, err := config.Load[Config](config.Map(nil)); err == nil {
		t.Error("no project was accepted")
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	server := secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")})
	src := New(Config{Project: "local", Endpoint: serve(t, server, "127.0.0.1:0")})
	t.Cleanup(func() { src.Close() })
	for i, text := range []string{"two", "three"} {
		if got, err := src.Add(t.Context(), "hop-key", []byte(text)); err != nil || got != string(rune('2'+i)) {
			t.Fatalf("added %q as %s, %v", text, got, err)
		}
	}
	for version, want := range map[string]string{"1": "one", "2": "two", "latest": "three"} {
		if p, err := src.Version(t.Context(), "hop-key", version); err != nil || string(p.Data) != want {
			t.Errorf("version %s is %s, %v", version, p.Data, err)
		}
	}
	if _, err := server.DisableSecretVersion(t.Context(), &pb.DisableSecretVersionRequest{Name: "projects/local/secrets/hop-key/versions/2"}); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"2", "9"} {
		if _, err := src.Version(t.Context(), "hop-key", version); !errors.Is(err, secrets.ErrAbsent) {
			t.Errorf("version %s gives %v", version, err)
		}
	}
	if _, err := src.Add(t.Context(), "none", []byte("x")); !errors.Is(err, secrets.ErrAbsent) {
		t.Errorf("an unknown secret gives %v", err)
	}
}
