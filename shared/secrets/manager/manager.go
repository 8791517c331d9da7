// Package manager is the secrets.Source over Google's Secret Manager, and the way
// in which a rotation adds versions there. Importing
// it links a gRPC stack of some 18 MB: a function whose secrets are mounted by
// the platform leaves it out.
package manager

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"

	secretmanager "cloud.google.com/go/secretmanager/apiv1"
	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/coditect/platform/shared/config"
	"github.com/coditect/platform/shared/secrets"
)

// Config says where the secrets are.
type Config struct {
	// Project owns the secrets.
	Project string `env:"GOOGLE_CLOUD_PROJECT,required"`
	// Endpoint is the host:port of a server of the same API without TLS or
	// authentication; empty means the real service.
	Endpoint string `env:"SECRETS_ENDPOINT"`
}

// Validate refuses what would end in a resource name of another shape.
func (c Config) Validate() error {
	if strings.ContainsAny(c.Project, "/ ") {
		return config.Invalid("GOOGLE_CLOUD_PROJECT", "must be a project id")
	}
	return nil
}

// Source reads the latest version of secrets. Its client is made at the first
// read; if that fails, at the next.
type Source struct {
	cfg Config

	mu     sync.Mutex
	client *secretmanager.Client
}

var _ secrets.Source = (*Source)(nil)

// New makes a Source. It neither dials nor looks for credentials yet.
func New(cfg Config) *Source { return &Source{cfg: cfg} }

// Open makes a Store over New(cfg), with what the platform mounted in the
// environment first.
func Open(lookup config.Lookup, cfg Config, caching secrets.Config) (*secrets.Store, *Source) {
	source := New(cfg)
	return secrets.New(secrets.First(secrets.Environment(lookup), source), caching), source
}

const latest = "latest"

// castagnoli is the polynomial of the service's checksums.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Fetch accesses the version "latest". A payload whose checksum is absent or
// wrong is an error; an unknown name is secrets.ErrAbsent.
func (s *Source) Fetch(ctx context.Context, name string) (secrets.Payload, error) {
	return s.Version(ctx, name, latest)
}

// Add makes data the latest version of a secret that exists and returns the
// number of the version. Versions count up by one, so that whoever gets another
// number than the one after what they read knows that they were not alone.
func (s *Source) Add(ctx context.Context, name string, data []byte) (version string, err error) {
	client, err := s.connect()
	if err != nil {
		return "", err
	}
	sum := int64(crc32.Checksum(data, castagnoli))
	got, err := client.AddSecretVersion(ctx, &pb.AddSecretVersionRequest{
		Parent: "projects/" + s.cfg.Project + "/secrets/" + name, Payload: &pb.SecretPayload{Data: data, DataCrc32C: &sum},
	})
	switch {
	case status.Code(err) == codes.NotFound:
		return "", fmt.Errorf("%w: %w", secrets.ErrAbsent, err)
	case err != nil:
		return "", err
	}
	return got.Name[strings.LastIndexByte(got.Name, '/')+1:], nil
}

// Version accesses one version, by its number or alias. One that is disabled or
// destroyed is secrets.ErrAbsent, too.
func (s *Source) Version(ctx context.Context, name, version string) (secrets.Payload, error) {
	client, err := s.connect()
	if err != nil {
		return secrets.Payload{}, err
	}
	resource := fmt.Sprintf("projects/%s/secrets/%s/versions/%s", s.cfg.Project, name, version)
	got, err := client.AccessSecretVersion(ctx, &pb.AccessSecretVersionRequest{Name: resource})
	switch {
	case status.Code(err) == codes.NotFound, version != latest && status.Code(err) == codes.FailedPrecondition:
		return secrets.Payload{}, fmt.Errorf("%w: %w", secrets.ErrAbsent, err)
	case err != nil:
		return secrets.Payload{}, err
	}
	payload := got.GetPayload()
	if payload == nil || payload.DataCrc32C == nil ||
		int64(crc32.Checksum(payload.Data, castagnoli)) != payload.GetDataCrc32C() {
		return secrets.Payload{}, errors.New("secret manager: payload damaged in transit: " + resource)
	}
	return secrets.Payload{Data: payload.Data, Version: got.Name[strings.LastIndexByte(got.Name, '/')+1:]}, nil
}

func (s *Source) connect() (*secretmanager.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	var opts []option.ClientOption
	if s.cfg.Endpoint != "" {
		conn, err := grpc.NewClient(s.cfg.Endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, fmt.Errorf("secret manager: SECRETS_ENDPOINT: %w", err)
		}
		opts = append(opts, option.WithGRPCConn(conn))
	}
	// The client outlives the request that made it, so it must not hang on that
	// request's context.
	client, err := secretmanager.NewClient(context.Background(), opts...)
	if err != nil {
		return nil, fmt.Errorf("secret manager: %w", err)
	}
	s.client = client
	return client, nil
}

// Close ends the connection, if there is one.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	return err
}
