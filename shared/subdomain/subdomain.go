// Package subdomain holds the rules for the name under which an organization
// is reached: <subdomain>.<BASE_DOMAIN>. The database checks the form again
// (organizations_subdomain_format); which words are reserved is known here
// alone.
package subdomain

import (
	"crypto/rand"
	"strings"
	"sync"
)

// MaxLength is the longest label of a host name (RFC 1035 §2.3.4).
const MaxLength = 63

// reserved would let a customer pass for the platform, or stand in the way of
// a name that it or its customers' mail and browsers give a meaning to.
var reserved = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for _, w := range words() {
		set[w] = true
	}
	return set
})

func words() []string {
	return strings.Fields(`
		about abuse account accounts admin administrator administrators analytics api apis app apps assets auth autoconfig
		autodiscover billing blog broadcasthost cdn chat citus cloud community config console contact coditect dashboard data
		demo dev developer developers dns docs documentation download email events feed files forum ftp git graphql health help
		helpdesk host hostmaster hydra id identity images imap info internal invite invitations isatap ldap legal livez local
		localhost login logout mail mailer-daemon media members metrics mobile monitor mta-sts news noc ns ns1 ns2 oauth oidc
		ops org partner partners pay payments ping pop pop3 portal postmaster preview pricing privacy prod production proxy
		public redis register registry root router sales schema search secure security server settings shop signin signup
		site smtp sso ssl stage staging static stats status store stripe support sys sysadmin system team teams tenant
		tenants terms test tests token tools tos trust uploads usenet user users uucp vpn webhook webhooks webmail webmaster
		well-known wiki wpad www www1 www2`)
}

// Fault says what is wrong with a subdomain, or "" when nothing is.
func Fault(s string) string {
	switch {
	case len(s) < 3 || len(s) > MaxLength:
		return "must have 3 to 63 characters"
	case strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || s[0] == '-' || s[len(s)-1] == '-':
		return "may hold a–z, 0–9 and -, and neither begin nor end with -"
	case strings.HasPrefix(s, "xn--"):
		return "may not be an encoded international name"
	case reserved()[s]:
		return "is reserved"
	}
	return ""
}

// Derive makes a subdomain of a name. What it gives holds by [Fault], and may
// be taken: see [WithSuffix].
func Derive(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 40 {
			break
		}
	}
	s := strings.TrimRight(b.String(), "-")
	if Fault(s) != "" {
		return WithSuffix(s)
	}
	return s
}

const letters = "abcdefghjkmnpqrstvwxyz23456789"

// WithSuffix makes a name that is as good as certainly free.
func WithSuffix(s string) string {
	var raw [6]byte
	_, _ = rand.Read(raw[:])
	suffix := make([]byte, len(raw))
	for i, c := range raw {
		suffix[i] = letters[int(c)%len(letters)]
	}
	s = strings.Trim(s, "-")
	if len(s) > 40 {
		s = strings.TrimRight(s[:40], "-")
	}
	if s == "" || strings.HasPrefix(s, "xn--") {
		s = "org"
	}
	return s + "-" + string(suffix)
}
