// Package secretmanager is a stand-in for Google's Secret Manager: a server of
// the same gRPC API (google.cloud.secretmanager.v1) that keeps everything in
// memory, for tests and for running the platform on one machine. The official
// client talks to it. No production package imports it.
//
// It answers as the service documents: names, states, checksums and status
// codes. What the platform does not use (IAM, replication, rotation schedules,
// version aliases) answers Unimplemented or is kept without effect.
package secretmanager

import (
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// MaxPayload is the service's limit for one version, in bytes.
// Source: cloud.google.com/secret-manager/quotas.
const MaxPayload = 64 << 10

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	secretID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

// Server holds the secrets of any number of projects. It is safe for concurrent
// use.
type Server struct {
	pb.UnimplementedSecretManagerServiceServer

	mu      sync.RWMutex
	secrets map[string]*secret // by projects/*/secrets/*
	saved   func(latest map[string][]byte) error
}

type secret struct {
	created  time.Time
	labels   map[string]string
	versions []*version // version n is at n-1
}

type version struct {
	data      []byte
	created   time.Time
	destroyed time.Time
	state     pb.SecretVersion_State
}

// An Option changes a Server from the ordinary.
type Option func(*Server)

// WithSave has save called with the latest enabled value of each secret, by
// secret id, whenever that changes. If save fails the change is undone and the
// client gets the error: what the stand-in acknowledged survives its process.
func WithSave(save func(latest map[string][]byte) error) Option {
	return func(s *Server) { s.saved = save }
}

// New makes a Server in which project has a secret with one version for each
// entry of seed.
func New(project string, seed map[string][]byte, opts ...Option) *Server {
	s := &Server{secrets: make(map[string]*secret, len(seed))}
	now := time.Now()
	for id, data := range seed {
		s.secrets["projects/"+project+"/secrets/"+id] = &secret{created: now, versions: []*version{{
			data: slices.Clone(data), created: now, state: pb.SecretVersion_ENABLED,
		}}}
	}
	for _, o := range opts {
		o(s)
	}
	return s
}

// Register adds the service to a gRPC server.
func (s *Server) Register(to grpc.ServiceRegistrar) { pb.RegisterSecretManagerServiceServer(to, s) }

// change runs act under the lock and saves the outcome; undo takes it back.
func (s *Server) change(act func() (undo func(), err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	undo, err := act()
	if err != nil || s.saved == nil {
		return err
	}
	if err := s.saved(s.latest()); err != nil {
		undo()
		return status.Errorf(codes.Unavailable, "the change could not be saved: %v", err)
	}
	return nil
}

func (s *Server) latest() map[string][]byte {
	out := make(map[string][]byte, len(s.secrets))
	for name, sec := range s.secrets {
		for i := len(sec.versions) - 1; i >= 0; i-- {
			if v := sec.versions[i]; v.state == pb.SecretVersion_ENABLED {
				out[name[strings.LastIndexByte(name, '/')+1:]] = v.data
				break
			}
		}
	}
	return out
}

// find resolves projects/*/secrets/*/versions/* to a version and its number. The
// caller holds the lock.
func (s *Server) find(name string) (*secret, int, error) {
	parent, number, ok := strings.Cut(name, "/versions/")
	if !ok || !validParent(parent) {
		return nil, 0, status.Errorf(codes.InvalidArgument, "The provided Secret Version ID [%s] does not match the expected format [projects/*/secrets/*/versions/*]", name)
	}
	sec := s.secrets[parent]
	if sec == nil {
		return nil, 0, status.Errorf(codes.NotFound, "Secret [%s] not found or has no versions.", parent)
	}
	n := len(sec.versions)
	if number != "latest" {
		parsed, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return nil, 0, status.Errorf(codes.InvalidArgument, "The provided Secret Version ID [%s] does not match the expected format [projects/*/secrets/*/versions/*]", name)
		}
		n = int(parsed)
	}
	if n < 1 || n > len(sec.versions) {
		if len(sec.versions) == 0 {
			return nil, 0, status.Errorf(codes.NotFound, "Secret [%s] not found or has no versions.", parent)
		}
		return nil, 0, status.Errorf(codes.NotFound, "Secret Version [%s] not found.", name)
	}
	return sec, n, nil
}

func validParent(name string) bool {
	parts := strings.Split(name, "/")
	return len(parts) == 4 && parts[0] == "projects" && parts[1] != "" && parts[2] == "secrets" && secretID.MatchString(parts[3])
}

func (v *version) message(name string, n int) *pb.SecretVersion {
	out := &pb.SecretVersion{
		Name: fmt.Sprintf("%s/versions/%d", name, n), CreateTime: timestamppb.New(v.created), State: v.state,
		ClientSpecifiedPayloadChecksum: true, Etag: fmt.Sprintf("%q", fmt.Sprintf("%x-%d", v.created.UnixNano(), v.state)),
	}
	if !v.destroyed.IsZero() {
		out.DestroyTime = timestamppb.New(v.destroyed)
	}
	return out
}

func (sec *secret) message(name string) *pb.Secret {
	return &pb.Secret{
		Name: name, CreateTime: timestamppb.New(sec.created), Labels: sec.labels,
		Replication: &pb.Replication{Replication: &pb.Replication_Automatic_{Automatic: &pb.Replication_Automatic{}}},
	}
}
