// Package strict refuses requests that ask a stand-in for something it does not
// do. A stand-in that ignored them would let a program pass its tests that the
// service then treats otherwise.
package strict

import (
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Only refuses, with Unimplemented, a message in which a field is set whose path
// is not listed, or one that this version of the API does not know. A path names
// fields from the message down, such as "task.http_request.url"; a listed field
// is allowed with all that it holds.
func Only(m proto.Message, paths ...string) error {
	if path := first(m.ProtoReflect(), "", paths); path != "" {
		return status.Errorf(codes.Unimplemented, "This stand-in does not implement %s of %s.", path, m.ProtoReflect().Descriptor().FullName())
	}
	return nil
}

// first finds a field that is not allowed, "" when there is none.
func first(m protoreflect.Message, prefix string, paths []string) (found string) {
	if len(m.GetUnknown()) > 0 {
		return prefix + "(a field of a newer version)"
	}
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		path := prefix + string(field.Name())
		switch {
		case slices.Contains(paths, path):
		case field.Message() != nil && !field.IsMap() && !field.IsList() && partly(path, paths):
			found = first(v.Message(), path+".", paths)
		default:
			found = path
		}
		return found == ""
	})
	return found
}

// partly reports whether something inside path is allowed.
func partly(path string, paths []string) bool {
	return slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, path+".") })
}
