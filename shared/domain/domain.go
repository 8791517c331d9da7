// Package domain knows how an organization shows that a domain is its own: by a
// TXT record below it that holds a token made for this organization alone. The
// record stays for as long as the domain is used; it is looked for again and
// again, so that a domain that was given up, or whose zone has another owner,
// stops leading here.
package domain

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"
)

// Label is the name of the record below the domain.
const Label = "_coditect-challenge"

// Record is the name and the value of the TXT record that shows it.
func Record(domain, token string) (name, value string) {
	return Label + "." + domain, "coditect-verification=" + token
}

// maxLength is that of a name without its root dot (RFC 1035 §2.3.4), and
// maxLabel that of a part.
const (
	maxLength = 253
	maxLabel  = 63
)

// Clean gives a domain in its one form, in lower case and without a root dot,
// and what is wrong with it, or "" when nothing is.
func Clean(given string) (name, fault string) {
	// Before letters are made small, which makes ASCII of some that are not.
	if strings.IndexFunc(given, func(r rune) bool { return r > 0x7f }) >= 0 {
		return given, "must be in its encoded form (xn--…)"
	}
	name = strings.TrimSuffix(strings.ToLower(given), ".")
	if len(name) < 4 || len(name) > maxLength {
		return name, "must have 4 to 253 characters"
	}
	labels := strings.Split(name, ".")
	if len(labels) < 2 {
		return name, "must be a whole domain, such as work.example.com"
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return name, "must be parts of a–z, 0–9 and - with a dot between them"
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return name, "must be a name, not an address"
	}
	return name, ""
}

// Within reports whether a domain is base, or lies below it.
func Within(name, base string) bool { return name == base || strings.HasSuffix(name, "."+base) }

// Resolver asks the DNS. *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// NewResolver asks the server at host:port, or those of the system when it is
// empty.
func NewResolver(server string) *net.Resolver {
	if server == "" {
		return net.DefaultResolver
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
}

// Answer is what the DNS says.
type Answer uint8

// The answers of [Look].
const (
	// Unknown says nothing: the servers did not answer.
	Unknown Answer = iota
	// Absent is an answer without the record.
	Absent
	// Present is an answer with it.
	Present
)

// timeout bounds one question.
const timeout = 5 * time.Second

// Look asks for the record of a domain. The error says why nothing is known.
func Look(ctx context.Context, r Resolver, domain, token string) (Answer, error) {
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	name, want := Record(domain, token)
	// With its dot, so that no search domain of this machine is tried.
	found, err := r.LookupTXT(ctx, name+".")
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound && !dns.IsTimeout && !dns.IsTemporary {
			return Absent, nil
		}
		return Unknown, err
	}
	for _, text := range found {
		if strings.TrimSpace(text) == want {
			return Present, nil
		}
	}
	return Absent, nil
}
