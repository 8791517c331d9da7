package projects_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coditect/platform/shared/functest"
	"github.com/coditect/platform/shared/ids"
)

// put makes a project at a given time behind the product's back.
func (f *fixture) put(t *testing.T, who functest.Person, name string, created, updated time.Time) string {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.projects (tenant_id, id, name, owner_id, created_by, created_at, updated_at) values ($1, $2, $3, $4, $4, $5, $6)`,
		who.TenantID, id, name, who.UserID, created, updated)
	return id.String()
}

// names reads a list, page after page, and gives the names on all of them.
func (f *fixture) names(t *testing.T, who functest.Person, path string) []string {
	t.Helper()
	out := []string{}
	for pages := 0; path != ""; pages++ {
		if pages > 50 {
			t.Fatal("the pages have no end")
		}
		var list struct {
			Results []struct{ Name string }
			Next    *string
		}
		f.do(t, who, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
		for _, r := range list.Results {
			out = append(out, r.Name)
		}
		path = ""
		if list.Next != nil {
			path = *list.Next
		}
	}
	return out
}

func TestFilters(t *testing.T) {
	f := setup(t)
	ann, bob := f.Member(t, f.owner.TenantID, "admin"), f.Member(t, f.owner.TenantID, "member")
	for _, p := range []struct {
		who          functest.Person
		name, status string
	}{{ann, "a1", "active"}, {ann, "a2", "archived"}, {ann, "a3", "deleted"}, {bob, "b1", "active"}, {bob, "b2", "archived"}, {bob, "b3", "deleted"}} {
		at := f.create(t, p.who, p.name).Header.Get("Location")
		switch p.status {
		case "archived":
			f.do(t, p.who, http.MethodPatch, at, map[string]any{"status": "archived"}).Want(t, http.StatusOK)
		case "deleted":
			f.do(t, p.who, http.MethodDelete, at, nil).Want(t, http.StatusNoContent)
		}
	}
	f.create(t, f.Tenant(t), "a1 of another tenant")
	for query, want := range map[string]string{
		"":                              "a1 a2 b1 b2",
		"status=active":                 "a1 b1",
		"status=archived":               "a2 b2",
		"status=deleted":                "a3 b3",
		"include_deleted=true":          "a1 a2 a3 b1 b2 b3",
		"include_deleted=false":         "a1 a2 b1 b2",
		"owner=" + ann.UserID.String():  "a1 a2",
		"owner=" + ids.New().String():   "",
		"owner=" + ids.Nil.String():     "",
		"search=b":                      "b1 b2",
		"search=B&status=archived":      "b2",
		"search=3":                      "",
		"search=3&include_deleted=true": "a3 b3",
		"search=3&status=deleted":       "a3 b3",
		"search=3&status=deleted&owner=" + bob.UserID.String():                                      "b3",
		"search=a&owner=" + ids.Nil.String():                                                        "",
		"status=deleted&owner=" + bob.UserID.String() + "&include_deleted=true":                     "b3",
		"status=active&include_deleted=true":                                                        "a1 b1",
		"status=archived&include_deleted=true&search=a&owner=" + ann.UserID.String():                "a2",
		"status=active&owner=" + bob.UserID.String() + "&search=b1&ordering=updated_at&page_size=1": "b1",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			got := f.names(t, ann, base+"?"+query)
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// TestSearch holds that words are taken literally, in any order and case, from
// name and description.
func TestSearch(t *testing.T) {
	f := setup(t)
	texts := map[string]string{
		"100% sure": "", "under_score": "", `back\slash`: "", "O'Brien": "", `say "hi"`: "", "Größe": "naïve", "alpha beta": "gamma", "日本語": "", "(a|b)*": "", "x": "$1 :name ;--",
	}
	for name, description := range texts {
		f.do(t, f.owner, http.MethodPost, base, map[string]any{"name": name, "description": description}).Want(t, http.StatusCreated)
	}
	for query, want := range map[string]string{
		"100%": "100% sure", "%": "100% sure", "_": "under_score", "r_s": "under_score", `\`: `back\slash`, `k\s`: `back\slash`, "'": "O'Brien", "o'b": "O'Brien",
		`"`: `say "hi"`, `"HI"`: `say "hi"`, "GRÖSSE": "", "größe": "Größe", "NAÏVE": "Größe", "beta alpha": "alpha beta", "gamma ALPHA": "alpha beta",
		"alpha delta": "", "alp bet gam": "alpha beta", "日本": "日本語", "本": "日本語", "a|b": "(a|b)*", "*": "(a|b)*", "$1": "x", ":name ;--": "x", "  alpha   beta ": "alpha beta",
		"alpha\tbeta": "alpha beta", "alpha\nbeta": "alpha beta", "%%": "", "__": "", "'; drop table app.projects; --": "",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			for _, more := range []string{"", "&status=active", "&page_size=1", "&ordering=updated_at", "&owner=" + f.owner.UserID.String()} {
				if got := strings.Join(f.names(t, f.owner, base+"?search="+url.QueryEscape(query)+more), ","); got != want {
					t.Errorf("with %q: %q, want %q", more, got, want)
				}
			}
		})
	}
}

// TestOrdering pages through every ordering with every kind of page size, there
// and back, where many rows share their time.
func TestOrdering(t *testing.T) {
	f := setup(t)
	start := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	const rows = 23
	for i := range rows {
		f.put(t, f.owner, fmt.Sprintf("word p%02d", i), start.Add(time.Duration(i/5)*time.Microsecond), start.Add(time.Duration(-i/7)*time.Microsecond))
	}
	for column, sql := range map[string]string{
		"created_at": "created_at, id", "-created_at": "created_at desc, id desc", "updated_at": "updated_at, id", "-updated_at": "updated_at desc, id desc",
	} {
		var want []string
		f.Scan(t, `select array_agg(name order by `+sql+`) from app.projects where tenant_id = $1`, []any{f.owner.TenantID}, &want)
		for _, size := range []int{1, 4, rows - 1, rows, rows + 1, 200} {
			for _, search := range []string{"", "&search=word"} {
				t.Run(fmt.Sprintf("%s %d %s", column, size, search), func(t *testing.T) {
					t.Parallel()
					path := fmt.Sprintf("%s?ordering=%s&page_size=%d%s", base, column, size, search)
					if got := f.names(t, f.owner, path); !slices.Equal(got, want) {
						t.Fatalf("forward: %v, want %v", got, want)
					}
					if got := f.andBack(t, path); !slices.Equal(got, want) {
						t.Fatalf("there and back: %v, want %v", got, want)
					}
				})
			}
		}
	}
	first := f.do(t, f.owner, http.MethodGet, base+"?page_size=5", nil).Want(t, http.StatusOK)
	if link := first.Header.Get("Link"); !strings.Contains(link, `rel="next"`) || strings.Contains(link, `rel="prev`) {
		t.Errorf("Link of the first page: %s", link)
	}
	if !strings.HasPrefix(first.String(t, "next"), base+"?") || first.Get(t, "previous") != nil {
		t.Errorf("borders of the first page: %v, %v", first.Get(t, "next"), first.Get(t, "previous"))
	}
}

// andBack goes to the last page and gives the names of all pages, read from
// there to the first.
func (f *fixture) andBack(t *testing.T, path string) []string {
	t.Helper()
	type list struct {
		Results        []struct{ Name string }
		Next, Previous *string
	}
	var l list
	f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &l)
	for l.Next != nil {
		at := *l.Next
		l = list{}
		f.do(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK).Into(t, &l)
	}
	var out []string
	for {
		var names []string
		for _, r := range l.Results {
			names = append(names, r.Name)
		}
		out = append(names, out...)
		if l.Previous == nil {
			return out
		}
		at := *l.Previous
		l = list{}
		f.do(t, f.owner, http.MethodGet, at, nil).Want(t, http.StatusOK).Into(t, &l)
	}
}

// TestPagingWhileRowsComeAndGo holds that a row which is there all the time is
// seen exactly once.
func TestPagingWhileRowsComeAndGo(t *testing.T) {
	f := setup(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 30 {
		f.put(t, f.owner, fmt.Sprintf("stable %d", i), at, at)
		f.put(t, f.owner, fmt.Sprintf("fleeting %d", i), at, at)
	}
	for _, query := range []string{"ordering=created_at&page_size=3", "ordering=-created_at&page_size=3", "ordering=created_at&page_size=3&search=e"} {
		t.Run(query, func(t *testing.T) {
			seen := map[string]int{}
			path := base + "?" + query
			for n := 0; path != ""; n++ {
				var list struct {
					Results []struct{ Name string }
					Next    *string
				}
				f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
				for _, r := range list.Results {
					seen[r.Name]++
				}
				f.put(t, f.owner, fmt.Sprintf("fleeting %s %d", query, n), at.Add(time.Duration(n%3-1)*time.Microsecond), at)
				f.SQL(t, `delete from app.projects where (tenant_id, id) in (select tenant_id, id from app.projects where name like 'fleeting%' order by random() limit 1)`)
				path = ""
				if list.Next != nil {
					path = *list.Next
				}
			}
			for i := range 30 {
				if n := seen[fmt.Sprintf("stable %d", i)]; n != 1 {
					t.Errorf("stable %d was seen %d times", i, n)
				}
			}
		})
	}
}

// TestForeignCursors holds that a cursor opens the one list it was made for.
func TestForeignCursors(t *testing.T) {
	f := setup(t)
	for i := range 3 {
		f.create(t, f.owner, fmt.Sprint("p", i))
	}
	next := f.do(t, f.owner, http.MethodGet, base+"?page_size=1&status=active", nil).Want(t, http.StatusOK).String(t, "next")
	f.do(t, f.owner, http.MethodGet, next, nil).Want(t, http.StatusOK)
	u, err := url.Parse(next)
	if err != nil {
		t.Fatal(err)
	}
	cursor := u.Query().Get("cursor")
	colleague, stranger := f.Member(t, f.owner.TenantID, "viewer"), f.Tenant(t)
	f.do(t, colleague, http.MethodGet, next, nil).Want(t, http.StatusOK)
	f.do(t, stranger, http.MethodGet, next, nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
	f.do(t, f.owner, http.MethodGet, base+"?page_size=2&status=active&cursor="+cursor, nil).Want(t, http.StatusOK)
	for _, query := range []string{
		"cursor=" + cursor, "status=archived&cursor=" + cursor, "status=active&search=x&cursor=" + cursor,
		"status=active&ordering=created_at&cursor=" + cursor, "status=active&ordering=-updated_at&cursor=" + cursor,
		"status=active&cursor=" + cursor[:len(cursor)-1], "status=active&cursor=" + cursor + "A", "status=active&cursor=" + strings.ToLower(cursor),
		"status=active&cursor=" + cursor + "%3D",
	} {
		f.do(t, f.owner, http.MethodGet, base+"?"+query, nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
	}
	for i := range cursor {
		flipped := []byte(cursor)
		flipped[i] = 'A' + (flipped[i]+1)%26
		if string(flipped) != cursor {
			f.do(t, f.owner, http.MethodGet, base+"?status=active&cursor="+string(flipped), nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
		}
	}
}

// TestEmptyPage holds the way back from a page whose rows have gone.
func TestEmptyPage(t *testing.T) {
	f := setup(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.put(t, f.owner, "first", at, at)
	f.put(t, f.owner, "second", at.Add(time.Second), at)
	for _, search := range []string{"", "&search=s"} {
		next := f.do(t, f.owner, http.MethodGet, base+"?ordering=created_at&page_size=1"+search, nil).Want(t, http.StatusOK).String(t, "next")
		f.SQL(t, `update app.projects set deleted_at = now(), deletion_id = id where name = 'second'`)
		empty := f.do(t, f.owner, http.MethodGet, next, nil).Want(t, http.StatusOK)
		if string(empty.Body[:13]) != `{"results":[]` || empty.Get(t, "next") != nil {
			t.Errorf("an empty page is %s", empty.Body)
		}
		if back := f.names(t, f.owner, empty.String(t, "previous")); !slices.Equal(back, []string{"first"}) {
			t.Errorf("the way back leads to %v", back)
		}
		f.SQL(t, `update app.projects set deleted_at = null, deletion_id = null where name = 'second'`)
	}
}
