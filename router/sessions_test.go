package router

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
)

// A logout that Redis does not hear of is known at once where it passed.
func TestLogoutIsKnownAtOnceWithoutRedis(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := w.person(ids.New())
	w.mr.Close()
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 200, "")
	w.functions.answer = func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/logout/") {
			w.functions.revoked[me.SessionID.String()] = true // held by serve
			rw.WriteHeader(204)
		}
	}
	want(t, w.do(call{method: "POST", path: "/api/v1/auth/logout/", token: me.token}), 204, "")
	want(t, w.do(call{path: "/api/v1/projects/", token: me.token}), 401, "token_revoked")
}

// What a person's own request may have ended is forgotten where it passed; the
// other instance learns of it within the contract's 5 s.
func TestEndedSessionsAreOutAtOnceHereAndSoonThere(t *testing.T) {
	t.Parallel()
	tenant := ids.New()
	for name, tt := range map[string]struct {
		op     call
		public bool
		status int
	}{
		"logout":         {call{method: "POST", path: "/api/v1/auth/logout/"}, false, 204},
		"delete session": {call{method: "DELETE", path: "/api/v1/auth/sessions/x/"}, false, 204},
		"removed member": {call{method: "DELETE", path: "/api/v1/users/{victim}/"}, false, 204},
		"token reused":   {call{method: "POST", path: "/api/v1/auth/refresh/", body: "{}"}, true, 401},
		"password reset": {call{method: "POST", path: "/api/v1/auth/password-reset/confirm/", body: "{}"}, true, 204},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one := newWorld(t)
			two := beside(t, one)
			me := one.person(tenant)
			by := me
			if strings.Contains(tt.op.path, "{victim}") {
				by = one.person(tenant)
				tt.op.path = strings.Replace(tt.op.path, "{victim}", me.UserID.String(), 1)
			}
			key := "sess:" + me.SessionID.String()
			_ = one.mr.Set(key, "live")
			_ = one.mr.Set("sess:"+by.SessionID.String(), "live")
			read := call{path: "/api/v1/projects/", token: me.token}
			want(t, one.do(read), 200, "")
			want(t, two.do(read), 200, "")
			one.functions.set(func(f *functions) {
				f.answer = func(rw http.ResponseWriter, r *http.Request) {
					if r.Method != http.MethodGet {
						_ = one.mr.Set(key, "revoked")
						rw.WriteHeader(tt.status)
					}
				}
			})
			if !tt.public {
				tt.op.token = by.token
			}
			if got := one.do(tt.op).Code; got != tt.status {
				t.Fatalf("status %d", got)
			}
			want(t, one.do(read), 401, "token_revoked")
			two.later(4 * time.Second)
			want(t, two.do(read), 401, "token_revoked")
		})
	}
}

// Who asked before an end and hears of life after it remembers nothing.
func TestAnAnswerFromBeforeTheEndIsNotRemembered(t *testing.T) {
	t.Parallel()
	k := newSessions(time.Now)
	s := session{ids.New(), ids.New()}
	_, asked, epoch := k.know(s)
	k.forget(s.user)
	k.learn(s, true, asked, epoch)
	if st, _, _ := k.know(s); st != unknown {
		t.Errorf("state %d", st)
	}
	k.learn(s, false, asked, epoch)
	if st, _, _ := k.know(s); st != revoked {
		t.Errorf("an end was not remembered: state %d", st)
	}
	alive, err := k.ask(t.Context(), session{ids.New(), s.id}, func(context.Context) (bool, error) { return true, nil })
	if !alive || err != nil {
		t.Errorf("%v %v", alive, err)
	}
}

func TestSessionsOfOnePersonAreSeparate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	k := newSessions(func() time.Time { return now })
	user, a, b := ids.New(), ids.New(), ids.New()
	_, asked, epoch := k.know(session{user, a})
	k.learn(session{user, a}, true, asked, epoch)
	k.learn(session{user, b}, false, asked, epoch)
	for id, want := range map[ids.ID]state{a: live, b: revoked, ids.New(): unknown} {
		if st, _, _ := k.know(session{user, id}); st != want {
			t.Errorf("state %d, want %d", st, want)
		}
	}
	k.forgetAll()
	for id, want := range map[ids.ID]state{a: unknown, b: revoked} {
		if st, _, _ := k.know(session{user, id}); st != want {
			t.Errorf("after forgetting all: state %d, want %d", st, want)
		}
	}
	_, asked, epoch = k.know(session{user, a})
	k.learn(session{user, a}, true, asked, epoch)
	if st, _, _ := k.know(session{user, a}); st != live {
		t.Errorf("nothing is learned after forgetting all: state %d", st)
	}
	now = now.Add(sessionLife)
	for _, id := range []ids.ID{a, b} {
		if st, _, _ := k.know(session{user, id}); st != unknown {
			t.Errorf("state %d after its life", st)
		}
	}
}
