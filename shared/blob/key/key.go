// Package key names objects. It is apart from package blob so that whoever
// needs a name does not link the clients of three object stores.
//
// Every key begins with tenants/<tenant id>/, made by [Of] and nothing else, so
// that what a tenant owns can be counted and erased by its prefix.
package key

import (
	"regexp"
	"strings"
	"sync"

	"github.com/coditect/platform/shared/ids"
)

// Of makes the key of a tenant's object. Parts are of letters, digits, '.',
// '_' and '-': names that a person chose belong into the link, not the key.
func Of(tenant ids.ID, parts ...string) string {
	return "tenants/" + tenant.String() + "/" + strings.Join(parts, "/")
}

// Prefix makes the prefix of a tenant's objects.
func Prefix(tenant ids.ID, parts ...string) string {
	return strings.TrimSuffix(Of(tenant, parts...), "/") + "/"
}

var form = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^tenants/[0-9a-f]{8}-[0-9a-f-]{27}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`)
})

// maxLength is what every store takes, in bytes.
const maxLength = 1024

// Valid reports whether key names an object of some tenant.
func Valid(key string) bool { return len(key) <= maxLength && form().MatchString(key) }
