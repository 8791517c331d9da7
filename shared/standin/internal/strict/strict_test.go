package strict

import (
	"strings"
	"testing"

	pb "cloud.google.com/go/cloudtasks/apiv2/cloudtaskspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestOnly(t *testing.T) {
	t.Parallel()
	newer := &pb.RetryConfig{}
	newer.ProtoReflect().SetUnknown([]byte{0xf8, 0x7f, 1})
	for name, tc := range map[string]struct {
		m     proto.Message
		paths []string
		field string // refused; "" means allowed
	}{
		"empty":            {&pb.Queue{}, nil, ""},
		"listed":           {&pb.Queue{Name: "x"}, []string{"name"}, ""},
		"not listed":       {&pb.Queue{Name: "x"}, []string{"state"}, "name"},
		"nested":           {&pb.Queue{RetryConfig: &pb.RetryConfig{MaxAttempts: 1}}, []string{"retry_config.max_attempts"}, ""},
		"nested, not this": {&pb.Queue{RetryConfig: &pb.RetryConfig{MaxAttempts: 1}}, []string{"retry_config.max_doublings"}, "retry_config.max_attempts"},
		"whole":            {&pb.Queue{RetryConfig: &pb.RetryConfig{MaxAttempts: 1}}, []string{"retry_config"}, ""},
		"newer":            {&pb.Queue{RetryConfig: newer}, []string{"retry_config.max_attempts"}, "newer"},
		"list":             {&pb.ListTasksResponse{Tasks: []*pb.Task{{}}}, []string{"tasks.name"}, "tasks"},
	} {
		err := Only(tc.m, tc.paths...)
		if tc.field == "" && err != nil || tc.field != "" && (status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), tc.field)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
