package stage

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/coditect/platform/shared/identity"
)

// Load fills the database at url, as the owner of its tables, with what is
// missing of the size, and says so to out. A tenant is there whole or not at
// all, so an interrupted load goes on where it stopped.
func Load(ctx context.Context, url string, size Size, out io.Writer) error {
	there, err := loaded(ctx, url)
	if err != nil {
		return err
	}
	if there >= size.Tenants {
		return nil
	}
	began := time.Now()
	hash, err := identity.NewHasher(1).Hash(ctx, Password)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "loading %d tenants × %d projects × %d tasks\n", size.Tenants-there, size.Projects, size.Tasks)
	next := atomic.Int64{}
	next.Store(int64(there))
	const writers = 2
	faults := make([]error, writers)
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() { faults[i] = write(ctx, url, size, hash, &next) })
	}
	writing.Wait()
	for _, err := range faults {
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	fmt.Fprintf(out, "loaded in %.0f s\n", time.Since(began).Seconds())
	return nil
}

// loaded is how many tenants are there. They come in order, but for the last
// that several writers had under way; the first gap is where to go on.
func loaded(ctx context.Context, url string) (int, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var n int
	err = conn.QueryRow(ctx, `select count(*) from app.organizations`).Scan(&n)
	return n, err
}

func write(ctx context.Context, url string, size Size, hash string, next *atomic.Int64) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		tenant := int(next.Add(1)) - 1
		if tenant >= size.Tenants {
			return nil
		}
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var there bool
			if err := tx.QueryRow(ctx, `select exists (select from app.organizations where tenant_id = $1)`, Tenant(tenant)).Scan(&there); err != nil || there {
				return err
			}
			return writeTenant(ctx, tx, size, tenant, hash)
		})
		if err != nil {
			return fmt.Errorf("tenant %d: %w", tenant, err)
		}
	}
}

// rows are those of one table.
type rows struct {
	table   string
	columns string
	values  [][]any
}

func writeTenant(ctx context.Context, tx pgx.Tx, size Size, tenant int, hash string) error {
	all := append(people(tenant, hash), organization(tenant)...)
	all = append(all, work(size, tenant)...)
	for _, r := range all {
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"app", r.table}, strings.Fields(r.columns), pgx.CopyFromRows(r.values))
		if err != nil {
			return fmt.Errorf("%s: %w", r.table, err)
		}
	}
	return nil
}

var names = [members][2]string{{"Ada", "Lovelace"}, {"Grace", "Hopper"}, {"Alan", "Turing"}, {"Edsger", "Dijkstra"}, {"Barbara", "Liskov"}}

func people(tenant int, hash string) []rows {
	users := rows{table: "users", columns: "user_id email email_verified_at"}
	credentials := rows{table: "credentials", columns: "user_id password_hash"}
	profiles := rows{table: "profiles", columns: "user_id first_name last_name"}
	tenants := rows{table: "user_tenants", columns: "user_id tenant_id joined_at"}
	claims := rows{table: "email_claims", columns: "email user_id"}
	for m := range members {
		user := User(tenant, m)
		users.values = append(users.values, []any{user, Email(tenant, m), epoch})
		credentials.values = append(credentials.values, []any{user, hash})
		profiles.values = append(profiles.values, []any{user, names[m][0], names[m][1]})
		tenants.values = append(tenants.values, []any{user, Tenant(tenant), epoch})
		claims.values = append(claims.values, []any{Email(tenant, m), user})
	}
	return []rows{users, credentials, profiles, tenants, claims}
}

func organization(tenant int) []rows {
	label := fmt.Sprintf("bench-%d", tenant)
	memberships := rows{table: "memberships", columns: "tenant_id user_id email first_name last_name role is_active joined_at"}
	for m := range members {
		role := identity.RoleMember
		if m == 0 {
			role = identity.RoleOwner
		}
		memberships.values = append(memberships.values, []any{Tenant(tenant), User(tenant, m), Email(tenant, m), names[m][0], names[m][1], role, true, epoch})
	}
	return []rows{
		{"organizations", "tenant_id name subdomain plan created_by created_at", [][]any{{Tenant(tenant), fmt.Sprintf("Bench %d", tenant), label, "enterprise", User(tenant, 0), epoch}}},
		{"tenant_settings", "tenant_id", [][]any{{Tenant(tenant)}}},
		{"host_claims", "host kind tenant_id", [][]any{{label, "subdomain", Tenant(tenant)}}},
		memberships,
	}
}

// description is of a usual length.
const description = "Follow the steps of the checklist, write down what differs from the last time, and tell the others before noon. The figures of last week are in the report."

func work(size Size, tenant int) []rows {
	projects := rows{table: "projects", columns: "tenant_id id name description owner_id created_by created_at updated_at"}
	tasks := rows{table: "tasks", columns: "tenant_id id project_id title description assignee_id status priority due_date created_by created_at updated_at"}
	for p := range size.Projects {
		at := created(p, 0)
		projects.values = append(projects.values, []any{Tenant(tenant), Project(tenant, p), fmt.Sprintf("Project %d", p), description, User(tenant, p%members), User(tenant, 0), at, at})
		for k := range size.Tasks {
			at := created(p, k)
			var assignee, due any
			if k%5 != 0 {
				assignee = User(tenant, k%members)
			}
			if k%3 == 0 {
				due = at.AddDate(0, 0, 14)
			}
			tasks.values = append(tasks.values, []any{
				Tenant(tenant), Task(tenant, p, k), Project(tenant, p), fmt.Sprintf("Task %d of project %d: check and report", k, p), description[:len(description)-k%len(description)/2],
				assignee, []string{"todo", "in_progress", "done"}[k%3], []string{"low", "medium", "high"}[k%7%3], due, User(tenant, k%2), at, at,
			})
		}
	}
	return []rows{projects, tasks}
}
