package secretmanager_test

import (
	"context"
	"errors"
	"hash/crc32"
	"net"
	"sync/atomic"
	"testing"

	client "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/standin/secretmanager"
)

// dial serves s on a free port and gives the official client of it.
func dial(t *testing.T, s *secretmanager.Server) *client.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	s.Register(g)
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-served })
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func access(t *testing.T, c *client.Client, name string) (string, string, error) {
	t.Helper()
	got, err := c.AccessSecretVersion(t.Context(), &pb.AccessSecretVersionRequest{Name: name})
	if err != nil {
		return "", "", err
	}
	sum := int64(crc32.Checksum(got.Payload.Data, crc32.MakeTable(crc32.Castagnoli)))
	if got.Payload.GetDataCrc32C() != sum {
		t.Errorf("%s: wrong checksum", name)
	}
	return got.Name, string(got.Payload.Data), nil
}

const hop = "projects/local/secrets/hop-key"

func TestLifeOfASecret(t *testing.T) {
	t.Parallel()
	c := dial(t, secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")}))
	ctx := t.Context()

	if name, data, err := access(t, c, hop+"/versions/latest"); err != nil || name != hop+"/versions/1" || data != "one" {
		t.Errorf("seed: %s %s %v", name, data, err)
	}
	added, err := c.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{Parent: hop, Payload: &pb.SecretPayload{Data: []byte("two")}})
	if err != nil || added.Name != hop+"/versions/2" || added.State != pb.SecretVersion_ENABLED {
		t.Errorf("added %v, %v", added, err)
	}
	for version, want := range map[string]string{"latest": "two", "1": "one", "2": "two"} {
		if _, data, err := access(t, c, hop+"/versions/"+version); err != nil || data != want {
			t.Errorf("version %s: %q %v", version, data, err)
		}
	}

	if _, err := c.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: hop + "/versions/2"}); err != nil {
		t.Error(err)
	}
	_, _, err = access(t, c, hop+"/versions/latest")
	wantCode(t, "latest is disabled", err, codes.FailedPrecondition)
	if v, err := c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: hop + "/versions/2"}); err != nil || v.State != pb.SecretVersion_ENABLED {
		t.Errorf("enable: %v %v", v, err)
	}
	if _, data, err := access(t, c, hop+"/versions/latest"); err != nil || data != "two" {
		t.Errorf("enabled again: %q %v", data, err)
	}

	if v, err := c.DestroySecretVersion(ctx, &pb.DestroySecretVersionRequest{Name: hop + "/versions/1"}); err != nil || v.State != pb.SecretVersion_DESTROYED || v.DestroyTime == nil {
		t.Errorf("destroy: %v %v", v, err)
	}
	_, _, err = access(t, c, hop+"/versions/1")
	wantCode(t, "destroyed", err, codes.FailedPrecondition)
	_, err = c.EnableSecretVersion(ctx, &pb.EnableSecretVersionRequest{Name: hop + "/versions/1"})
	wantCode(t, "destroyed comes back", err, codes.FailedPrecondition)
	if v, err := c.GetSecretVersion(ctx, &pb.GetSecretVersionRequest{Name: hop + "/versions/1"}); err != nil || v.State != pb.SecretVersion_DESTROYED {
		t.Errorf("get version: %v %v", v, err)
	}

	var states []pb.SecretVersion_State
	versions := c.ListSecretVersions(ctx, &pb.ListSecretVersionsRequest{Parent: hop, PageSize: 1})
	for {
		v, err := versions.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, v.State)
	}
	if len(states) != 2 || states[0] != pb.SecretVersion_ENABLED || states[1] != pb.SecretVersion_DESTROYED {
		t.Errorf("listed %v", states)
	}
}

func TestCreateListDelete(t *testing.T) {
	t.Parallel()
	c := dial(t, secretmanager.New("local", nil))
	ctx := t.Context()
	create := func(id string) error {
		_, err := c.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: "projects/local", SecretId: id, Secret: &pb.Secret{
			Labels:      map[string]string{"owner": "platform"},
			Replication: &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{}}},
		}})
		return err
	}
	for _, id := range []string{"b", "a", "c"} {
		if err := create(id); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, "twice", create("a"), codes.AlreadyExists)
	wantCode(t, "bad id", create("a/b"), codes.InvalidArgument)
	_, err := c.CreateSecret(ctx, &pb.CreateSecretRequest{Parent: "projects/local", SecretId: "d"})
	wantCode(t, "no replication", err, codes.InvalidArgument)

	got, err := c.GetSecret(ctx, &pb.GetSecretRequest{Name: "projects/local/secrets/a"})
	if err != nil || got.Labels["owner"] != "platform" || got.CreateTime == nil {
		t.Errorf("get: %v %v", got, err)
	}
	_, _, err = access(t, c, "projects/local/secrets/a/versions/latest")
	wantCode(t, "no versions yet", err, codes.NotFound)

	var names []string
	all := c.ListSecrets(ctx, &pb.ListSecretsRequest{Parent: "projects/local", PageSize: 2})
	for {
		s, err := all.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, s.Name)
	}
	if len(names) != 3 || names[0] != "projects/local/secrets/a" {
		t.Errorf("listed %v", names)
	}
	if err := c.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: "projects/local/secrets/a"}); err != nil {
		t.Error(err)
	}
	wantCode(t, "deleted twice", c.DeleteSecret(ctx, &pb.DeleteSecretRequest{Name: "projects/local/secrets/a"}), codes.NotFound)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")})
	c := dial(t, s)
	ctx := t.Context()
	for name, want := range map[string]codes.Code{
		hop + "/versions/2":                              codes.NotFound,
		hop + "/versions/0":                              codes.NotFound,
		"projects/local/secrets/none/versions/latest":    codes.NotFound,
		"projects/other/secrets/hop-key/versions/latest": codes.NotFound,
		hop + "/versions/one":                            codes.InvalidArgument,
	} {
		_, _, err := access(t, c, name)
		wantCode(t, name, err, want)
	}
	// The client refuses these before they are sent: ask the server itself.
	_, err := s.AccessSecretVersion(ctx, &pb.AccessSecretVersionRequest{Name: "nonsense"})
	wantCode(t, "nonsense", err, codes.InvalidArgument)
	for _, token := range []string{"x", "-1", "9"} {
		_, err = s.ListSecretVersions(ctx, &pb.ListSecretVersionsRequest{Parent: hop, PageToken: token})
		wantCode(t, "page token", err, codes.InvalidArgument)
		_, err = s.ListSecrets(ctx, &pb.ListSecretsRequest{Parent: "projects/local", PageToken: token})
		wantCode(t, "page token", err, codes.InvalidArgument)
	}

	wrong := int64(1)
	for what, in := range map[string]*pb.AddSecretVersionRequest{
		"wrong checksum": {Parent: hop, Payload: &pb.SecretPayload{Data: []byte("x"), DataCrc32C: &wrong}},
		"too large":      {Parent: hop, Payload: &pb.SecretPayload{Data: make([]byte, secretmanager.MaxPayload+1)}},
		"no payload":     {Parent: hop},
	} {
		_, err := c.AddSecretVersion(ctx, in)
		wantCode(t, what, err, codes.InvalidArgument)
	}
	_, err = c.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{Parent: "projects/local/secrets/none", Payload: &pb.SecretPayload{}})
	wantCode(t, "add to nothing", err, codes.NotFound)
	_, err = c.GetSecret(ctx, &pb.GetSecretRequest{Name: "projects/local/secrets/none"})
	wantCode(t, "get nothing", err, codes.NotFound)
	_, err = c.ListSecretVersions(ctx, &pb.ListSecretVersionsRequest{Parent: "projects/local/secrets/none"}).Next()
	wantCode(t, "list nothing", err, codes.NotFound)
	_, err = c.DisableSecretVersion(ctx, &pb.DisableSecretVersionRequest{Name: hop + "/versions/9"})
	wantCode(t, "disable nothing", err, codes.NotFound)
	_, err = c.GetSecretVersion(ctx, &pb.GetSecretVersionRequest{Name: hop + "/versions/9"})
	wantCode(t, "get no version", err, codes.NotFound)
	_, err = c.GetIamPolicy(ctx, nil)
	if err == nil {
		t.Error("IAM answers")
	}
}

func TestSaveSeesTheLatestAndMayRefuse(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	var saved atomic.Value
	c := dial(t, secretmanager.New("local", map[string][]byte{"hop-key": []byte("one")},
		secretmanager.WithSave(func(latest map[string][]byte) error {
			if full.Load() {
				return errors.New("disk full")
			}
			saved.Store(string(latest["hop-key"]))
			return nil
		})))
	add := func(data string) error {
		_, err := c.AddSecretVersion(t.Context(), &pb.AddSecretVersionRequest{Parent: hop, Payload: &pb.SecretPayload{Data: []byte(data)}})
		return err
	}
	if err := add("two"); err != nil || saved.Load() != "two" {
		t.Errorf("saved %v, %v", saved.Load(), err)
	}
	if _, err := c.DestroySecretVersion(t.Context(), &pb.DestroySecretVersionRequest{Name: hop + "/versions/2"}); err != nil || saved.Load() != "one" {
		t.Errorf("saved %v, %v", saved.Load(), err)
	}
	full.Store(true)
	wantCode(t, "disk full", add("three"), codes.Unavailable)
	_, err := c.GetSecretVersion(t.Context(), &pb.GetSecretVersionRequest{Name: hop + "/versions/3"})
	wantCode(t, "the refused version", err, codes.NotFound)
}
