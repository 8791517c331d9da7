package platform

import (
	"sync"
	"testing"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/payment/paytest"
)

var stripes struct {
	sync.Mutex
	of map[*functest.Env]*paytest.World
}

// Stripe is the one that the surroundings bill with. It is started when it is
// asked for first, or with the platform.
func Stripe(t testing.TB, e *functest.Env) *paytest.World {
	t.Helper()
	stripes.Lock()
	defer stripes.Unlock()
	if w := stripes.of[e]; w != nil {
		return w
	}
	if stripes.of == nil {
		stripes.of = map[*functest.Env]*paytest.World{}
	}
	w := paytest.New(t, e)
	stripes.of[e] = w
	t.Cleanup(func() {
		stripes.Lock()
		defer stripes.Unlock()
		delete(stripes.of, e)
	})
	return w
}
