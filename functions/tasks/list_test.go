package tasks_test

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

// put makes a task at a given time behind the product's back.
func (f *fixture) put(t *testing.T, who functest.Person, title string, created, updated time.Time) string {
	t.Helper()
	id := ids.New()
	f.SQL(t, `insert into app.tasks (tenant_id, id, project_id, title, created_by, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		who.TenantID, id, projectID(f.project), title, who.UserID, created, updated)
	return id.String()
}

// titles reads a list, page after page, and gives the titles on all of them.
func (f *fixture) titles(t *testing.T, who functest.Person, path string) []string {
	t.Helper()
	out := []string{}
	for pages := 0; path != ""; pages++ {
		if pages > 50 {
			t.Fatal("the pages have no end")
		}
		var list struct {
			Results []struct{ Title string }
			Next    *string
		}
		f.do(t, who, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
		for _, r := range list.Results {
			out = append(out, r.Title)
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
	ann, bob := f.Member(t, f.owner.TenantID, "member"), f.Member(t, f.owner.TenantID, "member")
	second := f.newProject(t, f.owner)
	for _, task := range []struct {
		project string
		body    map[string]any
	}{
		{f.project, map[string]any{"title": "a", "status": "todo", "priority": "low", "assignee_id": ann.UserID, "due_date": "2026-01-01"}},
		{f.project, map[string]any{"title": "b", "status": "in_progress", "priority": "medium", "assignee_id": bob.UserID, "due_date": "2026-01-02"}},
		{f.project, map[string]any{"title": "c", "status": "done", "priority": "high"}},
		{second, map[string]any{"title": "d", "status": "todo", "priority": "high", "assignee_id": ann.UserID, "due_date": "2026-01-03"}},
		{second, map[string]any{"title": "e", "status": "done", "priority": "low", "due_date": "2026-01-01"}},
	} {
		f.do(t, f.owner, http.MethodPost, task.project, task.body).Want(t, http.StatusCreated)
	}
	f.do(t, f.owner, http.MethodDelete, f.create(t, f.owner, "deleted"), nil).Want(t, http.StatusNoContent)
	stranger := f.Tenant(t)
	f.do(t, stranger, http.MethodPost, f.newProject(t, stranger), map[string]any{"title": "a of another tenant"}).Want(t, http.StatusCreated)
	for query, want := range map[string][2]string{ // of all, of the first project
		"":                                {"a b c d e", "a b c"},
		"status=todo":                     {"a d", "a"},
		"status=in_progress":              {"b", "b"},
		"status=done":                     {"c e", "c"},
		"priority=low":                    {"a e", "a"},
		"priority=medium":                 {"b", "b"},
		"priority=high":                   {"c d", "c"},
		"assignee=me":                     {"a d", "a"},
		"assignee=none":                   {"c e", "c"},
		"assignee=" + bob.UserID.String(): {"b", "b"},
		"assignee=" + ids.New().String():  {"", ""},
		"assignee=" + ids.Nil.String():    {"", ""},
		"due_before=2026-01-02":           {"a e", "a"},
		"due_before=2026-01-01":           {"", ""},
		"due_after=2026-01-02":            {"d", ""},
		"due_after=2026-01-01":            {"b d", "b"},
		"due_after=2026-01-01&due_before=2026-01-03": {"b", "b"},
		"search=A":                              {"a", "a"},
		"search=del":                            {"", ""},
		"status=todo&assignee=me&priority=high": {"d", ""},
		"status=todo&assignee=me&priority=high&search=d&due_after=2026-01-02&due_before=2026-01-04": {"d", ""},
		"status=done&assignee=none&search=c":                             {"c", "c"},
		"assignee=none&search=a":                                         {"", ""},
		"search=e&due_before=2026-01-02&ordering=updated_at&page_size=1": {"e", ""},
		"search=a&assignee=" + ids.Nil.String():                          {"", ""},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			for i, path := range []string{base, f.project} {
				got := f.titles(t, ann, path+"?"+query)
				slices.Sort(got)
				if strings.Join(got, " ") != want[i] {
					t.Errorf("%s: %q, want %q", path, got, want[i])
				}
			}
		})
	}
}

// TestCursorsOfTwoLists holds that a cursor of one list opens no other.
func TestCursorsOfTwoLists(t *testing.T) {
	f := setup(t)
	second := f.newProject(t, f.owner)
	for range 2 {
		f.create(t, f.owner, "x")
		f.do(t, f.owner, http.MethodPost, second, map[string]any{"title": "x"}).Want(t, http.StatusCreated)
	}
	lists := []string{base, f.project, second}
	for _, from := range lists {
		next := f.do(t, f.owner, http.MethodGet, from+"?page_size=1", nil).Want(t, http.StatusOK).String(t, "next")
		_, query, _ := strings.Cut(next, "?")
		for _, to := range lists {
			want := http.StatusBadRequest
			if to == from {
				want = http.StatusOK
			}
			f.do(t, f.owner, http.MethodGet, to+"?"+query, nil).Want(t, want)
		}
	}
}

// TestSearch holds that words are taken literally, in any order and case, from
// title and description.
func TestSearch(t *testing.T) {
	f := setup(t)
	texts := map[string]string{
		"100% sure": "", "under_score": "", `back\slash`: "", "O'Brien": "", `say "hi"`: "", "Größe": "naïve", "alpha beta": "gamma", "日本語": "", "(a|b)*": "", "x": "$1 :name ;--",
	}
	for title, description := range texts {
		f.do(t, f.owner, http.MethodPost, f.project, map[string]any{"title": title, "description": description}).Want(t, http.StatusCreated)
	}
	for query, want := range map[string]string{
		"100%": "100% sure", "%": "100% sure", "_": "under_score", "r_s": "under_score", `\`: `back\slash`, `k\s`: `back\slash`, "'": "O'Brien", "o'b": "O'Brien",
		`"`: `say "hi"`, `"HI"`: `say "hi"`, "GRÖSSE": "", "größe": "Größe", "NAÏVE": "Größe", "beta alpha": "alpha beta", "gamma ALPHA": "alpha beta",
		"alpha delta": "", "alp bet gam": "alpha beta", "日本": "日本語", "本": "日本語", "a|b": "(a|b)*", "*": "(a|b)*", "$1": "x", ":name ;--": "x", "  alpha   beta ": "alpha beta",
		"alpha\tbeta": "alpha beta", "alpha\nbeta": "alpha beta", "%%": "", "__": "", "'; drop table app.tasks; --": "",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			for _, more := range []string{"", "&status=todo", "&page_size=1", "&ordering=updated_at", "&assignee=none"} {
				if got := strings.Join(f.titles(t, f.owner, base+"?search="+url.QueryEscape(query)+more), ","); got != want {
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
		f.Scan(t, `select array_agg(title order by `+sql+`) from app.tasks where tenant_id = $1`, []any{f.owner.TenantID}, &want)
		for _, size := range []int{1, 4, rows - 1, rows, rows + 1, 200} {
			for _, search := range []string{"", "&search=word", "&search=wo+rd+p&assignee=none&priority=medium"} {
				t.Run(fmt.Sprintf("%s %d %s", column, size, search), func(t *testing.T) {
					t.Parallel()
					path := fmt.Sprintf("%s?ordering=%s&page_size=%d%s", base, column, size, search)
					if got := f.titles(t, f.owner, path); !slices.Equal(got, want) {
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
		Results        []struct{ Title string }
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
			names = append(names, r.Title)
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
					Results []struct{ Title string }
					Next    *string
				}
				f.do(t, f.owner, http.MethodGet, path, nil).Want(t, http.StatusOK).Into(t, &list)
				for _, r := range list.Results {
					seen[r.Title]++
				}
				f.put(t, f.owner, fmt.Sprintf("fleeting %s %d", query, n), at.Add(time.Duration(n%3-1)*time.Microsecond), at)
				f.SQL(t, `delete from app.tasks where (tenant_id, id) in (select tenant_id, id from app.tasks where title like 'fleeting%' order by random() limit 1)`)
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
		f.create(t, f.owner, fmt.Sprint("t", i))
	}
	next := f.do(t, f.owner, http.MethodGet, base+"?page_size=1&status=todo", nil).Want(t, http.StatusOK).String(t, "next")
	f.do(t, f.owner, http.MethodGet, next, nil).Want(t, http.StatusOK)
	u, err := url.Parse(next)
	if err != nil {
		t.Fatal(err)
	}
	cursor := u.Query().Get("cursor")
	colleague, stranger := f.Member(t, f.owner.TenantID, "viewer"), f.Tenant(t)
	f.do(t, colleague, http.MethodGet, next, nil).Want(t, http.StatusOK)
	f.do(t, stranger, http.MethodGet, next, nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
	f.do(t, f.owner, http.MethodGet, base+"?page_size=2&status=todo&cursor="+cursor, nil).Want(t, http.StatusOK)
	for _, query := range []string{
		"cursor=" + cursor, "status=done&cursor=" + cursor, "status=todo&search=x&cursor=" + cursor,
		"status=todo&ordering=created_at&cursor=" + cursor, "status=todo&ordering=-updated_at&cursor=" + cursor,
		"status=todo&cursor=" + cursor[:len(cursor)-1], "status=todo&cursor=" + cursor + "A", "status=todo&cursor=" + strings.ToLower(cursor),
		"status=todo&cursor=" + cursor + "%3D",
	} {
		f.do(t, f.owner, http.MethodGet, base+"?"+query, nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
	}
	for i := range cursor {
		flipped := []byte(cursor)
		flipped[i] = 'A' + (flipped[i]+1)%26
		if string(flipped) != cursor {
			f.do(t, f.owner, http.MethodGet, base+"?status=todo&cursor="+string(flipped), nil).WantCode(t, http.StatusBadRequest, "invalid_cursor")
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
		f.SQL(t, `update app.tasks set deleted_at = now(), deletion_id = id where title = 'second'`)
		empty := f.do(t, f.owner, http.MethodGet, next, nil).Want(t, http.StatusOK)
		if string(empty.Body[:13]) != `{"results":[]` || empty.Get(t, "next") != nil {
			t.Errorf("an empty page is %s", empty.Body)
		}
		if back := f.titles(t, f.owner, empty.String(t, "previous")); !slices.Equal(back, []string{"first"}) {
			t.Errorf("the way back leads to %v", back)
		}
		f.SQL(t, `update app.tasks set deleted_at = null, deletion_id = null where title = 'second'`)
	}
}
