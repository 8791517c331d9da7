package peer

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/coditect/platform/scripts/bench/capture"
)

// Exchanges are the statements of the floor's operations, under the names that
// the benchmark's lines have.
type Exchanges struct {
	List   capture.Exchange `json:"list"`
	Get    capture.Exchange `json:"get"`
	Create capture.Exchange `json:"create"`
}

// floor serves three operations at their paths with no more than they need.
type floor struct {
	pool   *pgxpool.Pool
	tokens *tokens
	does   Exchanges
}

type person struct {
	ID        uuid.UUID `json:"id"`
	Email     string    `json:"email"`
	FirstName string    `json:"first_name"`
	LastName  string    `json:"last_name"`
}

// task is what the statements' rows hold, as the API shows it.
type task struct {
	ID          uuid.UUID  `json:"id"`
	ProjectID   uuid.UUID  `json:"project_id"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Assignee    *person    `json:"assignee"`
	Status      string     `json:"status"`
	Priority    string     `json:"priority"`
	DueDate     *string    `json:"due_date"`
	CreatedBy   uuid.UUID  `json:"created_by"`
	CreatedAt   time.Time  `json:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at"`
	DeletedAt   *time.Time `json:"deleted_at"`
}

func runFloor(ctx context.Context, set settings, _ string) error {
	text, err := os.ReadFile(set.Statements)
	if err != nil {
		return err
	}
	f := &floor{}
	if err := json.Unmarshal(text, &f.does); err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(set.Database)
	if err != nil {
		return errors.New("DATABASE_URL is no address of a database") // pgx's error quotes the password
	}
	cfg.MaxConns = set.Conns
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	if f.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	defer f.pool.Close()
	if f.tokens, err = newTokens(ctx, set.JWKS); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/projects/{id}/tasks/", f.list)
	mux.HandleFunc("POST /api/v1/projects/{id}/tasks/", f.create)
	mux.HandleFunc("GET /api/v1/tasks/{id}/", f.get)
	return listen(ctx, set, mux)
}

func (f *floor) list(w http.ResponseWriter, r *http.Request) {
	tasks, ok := f.run(w, r, f.does.List, "project")
	if !ok {
		return
	}
	const page = 50
	answer(w, http.StatusOK, map[string]any{"results": tasks[:min(page, len(tasks))], "next": nil, "previous": nil})
}

func (f *floor) get(w http.ResponseWriter, r *http.Request) {
	tasks, ok := f.run(w, r, f.does.Get, "task")
	switch {
	case !ok:
	case len(tasks) == 0:
		http.Error(w, "there is no such task", http.StatusNotFound)
	default:
		answer(w, http.StatusOK, tasks[0])
	}
}

func (f *floor) create(w http.ResponseWriter, r *http.Request) {
	var in task
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if _, ok := f.run(w, r, f.does.Create, "project"); ok {
		in.CreatedAt = time.Now()
		answer(w, http.StatusCreated, in)
	}
}

// run checks the token and sends the exchange in one batch; named is what the
// path's id is called. It answers by itself what goes wrong.
func (f *floor) run(w http.ResponseWriter, r *http.Request, e capture.Exchange, named string) ([]task, bool) {
	who, err := f.tokens.check(r.Header.Get("Authorization"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return nil, false
	}
	args := e.Arguments(map[string]string{"tenant": who.Tenant, "user": who.Subject, named: r.PathValue("id")})
	tasks, err := f.send(r.Context(), e, args)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return nil, false
	}
	return tasks, true
}

// columns is how many the rows of tasks have.
const columns = 17

func (f *floor) send(ctx context.Context, e capture.Exchange, args [][]any) ([]task, error) {
	batch := &pgx.Batch{}
	for i, s := range e {
		batch.Queue(s.SQL, args[i]...)
	}
	conn, err := f.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	results := conn.SendBatch(ctx, batch)
	var tasks []task
	for range e {
		rows, err := results.Query()
		if err != nil {
			return nil, errors.Join(err, results.Close())
		}
		if len(rows.FieldDescriptions()) == columns {
			tasks, err = pgx.CollectRows(rows, scan)
		} else {
			rows.Close()
			err = rows.Err()
		}
		if err != nil {
			return nil, errors.Join(err, results.Close())
		}
	}
	return tasks, results.Close()
}

func scan(r pgx.CollectableRow) (t task, err error) {
	var version int64
	var deletion, assignee *uuid.UUID
	var email, first, last *string
	err = r.Scan(&t.ID, &t.ProjectID, &t.Title, &t.Description, &t.Status, &t.Priority, &t.DueDate, &t.CreatedBy,
		&version, &deletion, &t.CreatedAt, &t.UpdatedAt, &t.DeletedAt, &assignee, &email, &first, &last)
	if err == nil && assignee != nil {
		t.Assignee = &person{*assignee, *email, *first, *last}
	}
	return t, err
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
