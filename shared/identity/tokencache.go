package identity

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cacheAge is how long a verified token is believed without being verified
// again. It bounds how long the tokens of a withdrawn key go on, together with
// the refresh of the keys.
const cacheAge = 5 * time.Minute

// shards keeps cores from waiting for one another; a power of two.
const shards = 16

// tokenName is the SHA-256 of the whole token, signature and all: a cache that
// names tokens by less can be made to answer for another.
type tokenName [sha256.Size]byte

func nameOf(raw string) tokenName {
	// Ours are well below 1 KB: hashed from the stack, they cost no allocation.
	var buf [1024]byte
	if len(raw) <= len(buf) {
		return sha256.Sum256(buf[:copy(buf[:], raw)])
	}
	return sha256.Sum256([]byte(raw))
}

// tokenCache is a bounded memory of verified tokens. The nil cache is valid and
// remembers nothing.
type tokenCache [shards]struct {
	sync.Mutex
	lru *simplelru.LRU[tokenName, verified]
}

type verified struct {
	principal Principal
	until     time.Time
}

func newTokenCache(size int) *tokenCache {
	if size <= 0 {
		return nil
	}
	c := new(tokenCache)
	for i := range c {
		// The only error is of a size below one.
		c[i].lru, _ = simplelru.NewLRU[tokenName, verified]((size+shards-1)/shards, nil)
	}
	return c
}

func (c *tokenCache) get(name tokenName, now time.Time) (Principal, bool) {
	if c == nil {
		return Principal{}, false
	}
	s := &c[name[0]%shards]
	s.Lock()
	defer s.Unlock()
	v, ok := s.lru.Get(name)
	if !ok {
		return Principal{}, false
	}
	if !now.Before(v.until) {
		s.lru.Remove(name)
		return Principal{}, false
	}
	return v.principal, true
}

func (c *tokenCache) put(name tokenName, p Principal, now time.Time) {
	if c == nil {
		return
	}
	until := now.Add(cacheAge)
	if p.ExpiresAt.Before(until) {
		until = p.ExpiresAt
	}
	if !until.After(now) {
		return
	}
	s := &c[name[0]%shards]
	s.Lock()
	defer s.Unlock()
	s.lru.Add(name, verified{p, until})
}
