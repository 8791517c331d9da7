package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/coditect/platform/shared/cache"
	"github.com/coditect/platform/shared/ids"
)

const (
	// sessionLife is how long this process believes what it was told of a
	// session, counted from before it asked. With the trips on either side it
	// keeps the contract's bound on a revoked token's life: 5 s.
	sessionLife = 4 * time.Second
	// liveLife is at least as long as auth leaves "live" in Redis. For as long
	// after an outage "live" is not believed: the session may have been revoked
	// while Redis could not be told.
	liveLife   = 2 * time.Minute
	maxPersons = 50_000
)

// state is what is known of a session.
type state int64

// The numbers are the script's.
const (
	unknown state = iota
	live
	revoked
)

type session struct{ user, id ids.ID }

// sessions remembers, by person, which sessions live and which have ended.
type sessions struct {
	mu      sync.Mutex
	persons *simplelru.LRU[ids.ID, []seen]
	// epoch is raised when something is forgotten. Who asked before that may
	// have been told what was true then, and does not remember it.
	epoch uint64
	// floor is the oldest epoch whose lives are still believed. Raising it
	// forgets everybody at the cost of forgetting one: whoever sends worthless
	// refresh tokens must not make us walk through all that we remember.
	floor uint64
	// asking makes one question of many that are asked at a time.
	asking *cache.Local[session, bool]
	now    func() time.Time
}

type seen struct {
	id    ids.ID
	alive bool
	until time.Time
	epoch uint64
}

func newSessions(now func() time.Time) *sessions {
	// The only error is of a size below one.
	persons, _ := simplelru.NewLRU[ids.ID, []seen](maxPersons, nil)
	return &sessions{persons: persons, asking: cache.NewLocal[session, bool](cache.LocalConfig{Size: 1, Now: now}), now: now}
}

// know gives what is remembered of a session, and the time and epoch of the
// question that follows if that is nothing.
func (k *sessions) know(s session) (st state, now time.Time, epoch uint64) {
	now = k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	list, _ := k.persons.Get(s.user)
	for i := range list {
		if e := &list[i]; e.id == s.id && now.Before(e.until) {
			switch {
			case !e.alive:
				return revoked, now, k.epoch
			case e.epoch >= k.floor:
				return live, now, k.epoch
			}
		}
	}
	return unknown, now, k.epoch
}

// learn remembers an answer to a question asked at that time, in that epoch.
func (k *sessions) learn(s session, alive bool, asked time.Time, epoch uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if alive && epoch != k.epoch {
		return
	}
	old, _ := k.persons.Get(s.user)
	list := make([]seen, 0, len(old)+1)
	for _, e := range old {
		if e.id != s.id && asked.Before(e.until) {
			list = append(list, e)
		}
	}
	k.persons.Add(s.user, append(list, seen{s.id, alive, asked.Add(sessionLife), epoch}))
}

// forget drops what is remembered of a person that lives.
func (k *sessions) forget(user ids.ID) {
	k.mu.Lock()
	k.epoch++
	if list, ok := k.persons.Peek(user); ok {
		k.persons.Add(user, slices.DeleteFunc(slices.Clone(list), func(e seen) bool { return e.alive }))
	}
	k.mu.Unlock()
	k.asking.DropIf(func(s session) bool { return s.user == user })
}

// forgetAll is forget where nobody knows whom.
func (k *sessions) forgetAll() {
	k.mu.Lock()
	k.epoch++
	k.floor = k.epoch
	k.mu.Unlock()
	k.asking.DropIf(func(session) bool { return true })
}

// ask has fill tell whether a session lives, once for all who ask meanwhile.
func (k *sessions) ask(ctx context.Context, s session, fill func(context.Context) (bool, error)) (alive bool, err error) {
	return k.asking.Get(ctx, s, func(ctx context.Context) (bool, time.Duration, error) {
		_, asked, epoch := k.know(s)
		alive, err := fill(ctx)
		if err == nil {
			k.learn(s, alive, asked, epoch)
		}
		return alive, 0, err
	})
}
