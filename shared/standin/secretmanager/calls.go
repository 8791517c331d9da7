package secretmanager

import (
	"context"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// CreateSecret makes a secret without versions.
func (s *Server) CreateSecret(_ context.Context, in *pb.CreateSecretRequest) (*pb.Secret, error) {
	name := in.GetParent() + "/secrets/" + in.GetSecretId()
	if !validParent(name) {
		return nil, status.Errorf(codes.InvalidArgument, "The provided Secret ID [%s] does not match the expected format [[a-zA-Z_0-9]+]", in.GetSecretId())
	}
	if in.GetSecret().GetReplication() == nil {
		return nil, status.Error(codes.InvalidArgument, "Field [secret.replication] is required.")
	}
	var out *pb.Secret
	err := s.change(func() (func(), error) {
		if s.secrets[name] != nil {
			return nil, status.Errorf(codes.AlreadyExists, "Secret [%s] already exists.", name)
		}
		sec := &secret{created: time.Now(), labels: in.GetSecret().GetLabels()}
		s.secrets[name] = sec
		out = sec.message(name)
		return func() { delete(s.secrets, name) }, nil
	})
	return out, err
}

// GetSecret answers what is known of a secret, without its values.
func (s *Server) GetSecret(_ context.Context, in *pb.GetSecretRequest) (*pb.Secret, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sec := s.secrets[in.GetName()]
	if sec == nil {
		return nil, noSecret(in.GetName())
	}
	return sec.message(in.GetName()), nil
}

// ListSecrets lists a project's secrets by name.
func (s *Server) ListSecrets(_ context.Context, in *pb.ListSecretsRequest) (*pb.ListSecretsResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var names []string
	for name := range s.secrets {
		if strings.HasPrefix(name, in.GetParent()+"/secrets/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	page, next, err := paginate(names, in.GetPageSize(), in.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &pb.ListSecretsResponse{NextPageToken: next, TotalSize: int32(len(names))}
	for _, name := range page {
		out.Secrets = append(out.Secrets, s.secrets[name].message(name))
	}
	return out, nil
}

// DeleteSecret removes a secret with all its versions.
func (s *Server) DeleteSecret(_ context.Context, in *pb.DeleteSecretRequest) (*emptypb.Empty, error) {
	err := s.change(func() (func(), error) {
		sec := s.secrets[in.GetName()]
		if sec == nil {
			return nil, noSecret(in.GetName())
		}
		delete(s.secrets, in.GetName())
		return func() { s.secrets[in.GetName()] = sec }, nil
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// AddSecretVersion adds an enabled version; it becomes "latest".
func (s *Server) AddSecretVersion(_ context.Context, in *pb.AddSecretVersionRequest) (*pb.SecretVersion, error) {
	payload := in.GetPayload()
	switch {
	case payload == nil:
		return nil, status.Error(codes.InvalidArgument, "Field [payload] is required.")
	case len(payload.GetData()) > MaxPayload:
		return nil, status.Errorf(codes.InvalidArgument, "The payload is over %d bytes.", MaxPayload)
	case payload.DataCrc32C != nil && payload.GetDataCrc32C() != checksum(payload.GetData()):
		return nil, status.Error(codes.InvalidArgument, "The payload does not match its data_crc32c.")
	}
	var out *pb.SecretVersion
	err := s.change(func() (func(), error) {
		sec := s.secrets[in.GetParent()]
		if sec == nil {
			return nil, noSecret(in.GetParent())
		}
		v := &version{data: slices.Clone(payload.GetData()), created: time.Now(), state: pb.SecretVersion_ENABLED}
		sec.versions = append(sec.versions, v)
		out = v.message(in.GetParent(), len(sec.versions))
		return func() { sec.versions = sec.versions[:len(sec.versions)-1] }, nil
	})
	return out, err
}

// AccessSecretVersion gives the payload of an enabled version. As in the
// service, "latest" is the newest version whatever its state, so that disabling
// it does not fall back to the one before.
func (s *Server) AccessSecretVersion(_ context.Context, in *pb.AccessSecretVersionRequest) (*pb.AccessSecretVersionResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sec, n, err := s.find(in.GetName())
	if err != nil {
		return nil, err
	}
	v := sec.versions[n-1]
	name := in.GetName()[:strings.LastIndexByte(in.GetName(), '/')+1] + strconv.Itoa(n)
	if v.state != pb.SecretVersion_ENABLED {
		return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %s state.", name, v.state)
	}
	sum := checksum(v.data)
	return &pb.AccessSecretVersionResponse{
		Name: name, Payload: &pb.SecretPayload{Data: slices.Clone(v.data), DataCrc32C: &sum},
	}, nil
}

// GetSecretVersion answers the state of a version.
func (s *Server) GetSecretVersion(_ context.Context, in *pb.GetSecretVersionRequest) (*pb.SecretVersion, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sec, n, err := s.find(in.GetName())
	if err != nil {
		return nil, err
	}
	parent, _, _ := strings.Cut(in.GetName(), "/versions/")
	return sec.versions[n-1].message(parent, n), nil
}

// ListSecretVersions lists the versions, newest first, the destroyed included.
func (s *Server) ListSecretVersions(_ context.Context, in *pb.ListSecretVersionsRequest) (*pb.ListSecretVersionsResponse, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	sec := s.secrets[in.GetParent()]
	if sec == nil {
		return nil, noSecret(in.GetParent())
	}
	all := make([]*pb.SecretVersion, 0, len(sec.versions))
	for i := len(sec.versions); i > 0; i-- {
		all = append(all, sec.versions[i-1].message(in.GetParent(), i))
	}
	page, next, err := paginate(all, in.GetPageSize(), in.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &pb.ListSecretVersionsResponse{Versions: page, NextPageToken: next, TotalSize: int32(len(all))}, nil
}

// EnableSecretVersion makes a disabled version accessible again.
func (s *Server) EnableSecretVersion(_ context.Context, in *pb.EnableSecretVersionRequest) (*pb.SecretVersion, error) {
	return s.setState(in.GetName(), pb.SecretVersion_ENABLED)
}

// DisableSecretVersion makes a version inaccessible until it is enabled.
func (s *Server) DisableSecretVersion(_ context.Context, in *pb.DisableSecretVersionRequest) (*pb.SecretVersion, error) {
	return s.setState(in.GetName(), pb.SecretVersion_DISABLED)
}

// DestroySecretVersion erases a version's data for good.
func (s *Server) DestroySecretVersion(_ context.Context, in *pb.DestroySecretVersionRequest) (*pb.SecretVersion, error) {
	return s.setState(in.GetName(), pb.SecretVersion_DESTROYED)
}

func (s *Server) setState(name string, to pb.SecretVersion_State) (*pb.SecretVersion, error) {
	var out *pb.SecretVersion
	err := s.change(func() (func(), error) {
		sec, n, err := s.find(name)
		if err != nil {
			return nil, err
		}
		v := sec.versions[n-1]
		if v.state == pb.SecretVersion_DESTROYED {
			return nil, status.Errorf(codes.FailedPrecondition, "Secret Version [%s] is in %s state.", name, v.state)
		}
		before := *v
		v.state = to
		if to == pb.SecretVersion_DESTROYED {
			v.data, v.destroyed = nil, time.Now()
		}
		parent, _, _ := strings.Cut(name, "/versions/")
		out = v.message(parent, n)
		return func() { *v = before }, nil
	})
	return out, err
}

func paginate[T any](all []T, size int32, token string) (page []T, next string, err error) {
	start := 0
	if token != "" {
		if start, err = strconv.Atoi(token); err != nil || start < 0 || start > len(all) {
			return nil, "", status.Error(codes.InvalidArgument, "Invalid page token.")
		}
	}
	if size <= 0 || size > 25000 {
		size = 25000
	}
	end := min(start+int(size), len(all))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return all[start:end], next, nil
}

func noSecret(name string) error {
	return status.Errorf(codes.NotFound, "Secret [%s] not found.", name)
}

func checksum(data []byte) int64 { return int64(crc32.Checksum(data, castagnoli)) }
