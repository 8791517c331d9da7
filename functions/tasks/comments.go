package tasks

import (
	"context"
	"net/http"
	"time"

	"github.com/coditect/platform/shared/activity"
	"github.com/coditect/platform/shared/api"
	"github.com/coditect/platform/shared/db"
	"github.com/coditect/platform/shared/errs"
	"github.com/coditect/platform/shared/identity"
	"github.com/coditect/platform/shared/ids"
	"github.com/coditect/platform/shared/page"
)

// Comment is what somebody said about a task, as clients see it.
type Comment struct {
	ID        ids.ID    `json:"id" format:"uuid" doc:"The comment's id."`
	TaskID    ids.ID    `json:"task_id" format:"uuid" doc:"The task it is about."`
	User      Person    `json:"user" doc:"Who wrote it."`
	Content   string    `json:"content" minLength:"1" maxLength:"10000" doc:"The text."`
	CreatedAt time.Time `json:"created_at" doc:"When it was written."`
	UpdatedAt time.Time `json:"updated_at" doc:"When it last changed."`
}

// remark is a comment as the database has it.
type remark struct {
	Comment
	version       int64
	projectStatus string
}

var errNotYourComment = errs.New(errs.Forbidden, "not_your_own", "Only the comment's author or an administrator may do this.")

var exampleComment = Comment{
	ID: ids.Must("0192f0c1-7b7e-7cc3-98c4-dc0c0c0739a1"), TaskID: example.ID, User: *example.Assignee,
	Content: "Checked it twice.", CreatedAt: example.CreatedAt, UpdatedAt: example.CreatedAt,
}

var createCommentSpec = api.Spec{
	ID: "create-comment", Method: http.MethodPost, Path: "/api/v1/tasks/{id}/comments/", Tag: "Comments",
	Summary:    "Comment on a task",
	Permission: identity.CommentsWrite, Status: http.StatusCreated,
	Errors:         []errs.Error{*errProjectArchived},
	RequestExample: commentBody{Content: "Checked it twice."}, ResponseExample: exampleComment,
}

type commentBody struct {
	Content string `json:"content" minLength:"1" maxLength:"10000" doc:"The text."`
}

type createCommentInput struct {
	api.ByID
	Body commentBody
}

func (s *service) createComment(ctx context.Context, by identity.Caller, in *createCommentInput) (*api.Item[Comment], error) {
	var made *db.Row[remark]
	id := ids.New()
	err := db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		tx.Explain(broken)
		requireOpenTask(tx, in.ID)
		made = insertComment(tx, id, in.ID, in.Body.Content)
		tx.Record(activity.Created("Comment", id, map[string]any{"task_id": in.ID.String(), "content": in.Body.Content}))
		return nil
	})
	if err != nil {
		return nil, err
	}
	c, err := made.Value()
	if err != nil {
		return nil, err
	}
	return api.Created("/api/v1/comments/"+id.String()+"/", c.version, c.Comment), nil
}

var listCommentsSpec = api.Spec{
	ID: "list-comments", Method: http.MethodGet, Path: "/api/v1/tasks/{id}/comments/", Tag: "Comments",
	Summary:    "List the comments on a task",
	Permission: identity.TasksRead, ResponseExample: api.ListBody[Comment]{Results: []Comment{exampleComment}},
}

type listCommentsInput struct {
	api.ByID
	api.PageInput
}

func (s *service) listComments(ctx context.Context, by identity.Caller, in *listCommentsInput) (*api.List[Comment], error) {
	var task *db.Row[bool]
	var rows *db.Rows[remark]
	at := in.Position()
	err := db.Read(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		task, rows = taskExists(tx, in.ID), listComments(tx, in.ID, at)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, err := task.Value(); err != nil {
		return nil, err
	}
	found, err := rows.Value()
	if err != nil {
		return nil, err
	}
	cut, next, previous := page.Assemble(found, at, func(c remark) (time.Time, ids.ID) {
		if at.Order.Column() == "updated_at" {
			return c.UpdatedAt, c.ID
		}
		return c.CreatedAt, c.ID
	})
	results := make([]Comment, len(cut))
	for i := range cut {
		results[i] = cut[i].Comment
	}
	return api.NewList(results, next, previous), nil
}

var updateCommentSpec = api.Spec{
	ID: "update-comment", Method: http.MethodPatch, Path: "/api/v1/comments/{id}/", Tag: "Comments",
	Summary:     "Change a comment",
	Description: "A JSON merge patch (RFC 7396). One's own, or any as an administrator.",
	Permission:  identity.CommentsWrite, Errors: []errs.Error{*errNotYourComment, *errProjectArchived},
	RequestExample: map[string]any{"content": "Checked it three times."}, ResponseExample: exampleComment,
}

type updateCommentInput struct {
	api.ByID
	api.IfMatch
	Body struct {
		Content api.Optional[string] `json:"content,omitzero" minLength:"1" maxLength:"10000" doc:"The text."`
	} `contentType:"application/merge-patch+json"`
}

func (s *service) updateComment(ctx context.Context, by identity.Caller, in *updateCommentInput) (*api.Item[Comment], error) {
	var after remark
	err := s.changeComment(ctx, by, in.ID, in.IfMatch, func(tx *db.Tx, before remark) {
		after = before
		after.Content = in.Body.Content.Or(before.Content)
		if after.Content == before.Content {
			tx.Unchanged()
			return
		}
		changed := updateComment(tx, in.ID, after.Content)
		tx.Record(activity.Updated("Comment", in.ID, activity.Changes{"content": {Old: before.Content, New: after.Content}}))
		tx.OnCommit(func() error {
			v, err := changed.Value()
			after.version, after.UpdatedAt = v.version, v.updatedAt
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return api.NewItem(after.version, after.Comment), nil
}

var deleteCommentSpec = api.Spec{
	ID: "delete-comment", Method: http.MethodDelete, Path: "/api/v1/comments/{id}/", Tag: "Comments",
	Summary: "Delete a comment", Description: "One's own, or any as an administrator.",
	Permission: identity.CommentsWrite, Status: http.StatusNoContent,
	Errors: []errs.Error{*errNotYourComment, *errProjectArchived},
}

func (s *service) deleteComment(ctx context.Context, by identity.Caller, in *deleteInput) (*api.Empty, error) {
	err := s.changeComment(ctx, by, in.ID, in.IfMatch, func(tx *db.Tx, before remark) {
		deleteComment(tx, in.ID, ids.New())
		tx.Record(activity.Deleted("Comment", in.ID, activity.Changes{"content": {Old: before.Content, New: nil}}))
	})
	return &api.Empty{}, err
}

// changeComment reads a comment under a lock and lets write change it, if the
// caller may.
func (s *service) changeComment(ctx context.Context, by identity.Caller, id ids.ID, match api.IfMatch, write func(*db.Tx, remark)) error {
	return db.Write(ctx, s.db, by.Principal, func(tx *db.Tx) error {
		before, err := lockComment(tx, id).Await(ctx)
		if err != nil {
			return err
		}
		switch {
		case !by.MayOn(identity.ProjectsDelete, identity.CommentsWrite, before.User.ID):
			return errNotYourComment
		case match.Check(before.version) != nil:
			return match.Check(before.version)
		case before.projectStatus == projectArchived:
			return errProjectArchived
		}
		write(tx, before)
		return nil
	})
}
