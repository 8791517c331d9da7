package page

import (
	"testing"
	"time"

	"github.com/coditect/platform/shared/ids"
)

func TestExclusive(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	id := ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c070000")
	for name, tc := range map[string]struct {
		pos      Position
		ordering string
		id       any
	}{
		"first page":          {First("-created_at", 10), "-created_at", nil},
		"down":                {Position{Order: "-created_at", From: &Cursor{Time: at, ID: id}}, "-created_at", id},
		"down, read backward": {Position{Order: "-created_at", From: &Cursor{Time: at, ID: id, Backward: true}}, "created_at", id},
		"down, border too": {Position{Order: "-created_at", From: &Cursor{Time: at, ID: id, Inclusive: true}}, "-created_at",
			ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c070001")},
		"up, border too": {Position{Order: "updated_at", From: &Cursor{Time: at, ID: id, Inclusive: true}}, "updated_at",
			ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c06ffff")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ordering, when, border := tc.pos.Exclusive()
			if ordering != tc.ordering || border != tc.id || (tc.id == nil) != (when == nil) {
				t.Errorf("got %q, %v, %v; want %q, %v", ordering, when, border, tc.ordering, tc.id)
			}
		})
	}
}
