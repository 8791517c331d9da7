package exporter

// column is a field of the files. Its text is part of the format: see
// docs/exports.md.
type column struct{ name, sql string }

// kind is one file: where its rows are and in what order. $1 is the tenant, $2
// the moment that decides what belongs to the export.
type kind struct {
	name    string
	from    string
	order   string
	columns []column
}

func at(field string) string {
	return `to_char(` + field + ` at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}

// existed are the things that were there at the moment: a later deletion takes
// nothing out of the export.
const existed = ` where r.tenant_id = $1 and r.created_at <= $2 and (r.deleted_at is null or r.deleted_at > $2)`

const created = ` where r.tenant_id = $1 and r.created_at <= $2`

// all is for what others refer to by values that change: who was given a task
// since that moment may have come since.
const all = ` where r.tenant_id = $1 and $2::timestamptz is not null`

// kinds are the files, in the order in which they are read: what refers to
// something before what it refers to, so that everything named in one file is
// in another.
var kinds = []kind{
	{"activity", `app.activity r` + created, `r.id`, []column{
		{"id", `r.id`},
		{"action", `r.action`},
		{"model", `r.model`},
		{"object_id", `r.object_id`},
		{"user_id", `r.user_id`},
		{"changes", `r.changes`},
		{"request_id", `r.request_id`},
		{"created_at", at(`r.created_at`)},
	}},
	{"attachments", `app.attachments r` + existed + ` and r.status = 'ready'`, `r.id`, []column{
		{"id", `r.id`},
		{"task_id", `r.task_id`},
		{"filename", `r.filename`},
		{"size", `r.size`},
		{"content_type", `r.content_type`},
		{"uploaded_by", `r.uploaded_by`},
		{"created_at", at(`r.created_at`)},
		{"updated_at", at(`r.updated_at`)},
	}},
	{"comments", `app.comments r` + existed, `r.id`, []column{
		{"id", `r.id`},
		{"task_id", `r.task_id`},
		{"user_id", `r.author_id`},
		{"content", `r.content`},
		{"created_at", at(`r.created_at`)},
		{"updated_at", at(`r.updated_at`)},
	}},
	{"tasks", `app.tasks r` + existed, `r.id`, []column{
		{"id", `r.id`},
		{"project_id", `r.project_id`},
		{"title", `r.title`},
		{"description", `r.description`},
		{"status", `r.status`},
		{"priority", `r.priority`},
		{"assignee_id", `r.assignee_id`},
		{"due_date", `to_char(r.due_date, 'YYYY-MM-DD')`},
		{"created_by", `r.created_by`},
		{"created_at", at(`r.created_at`)},
		{"updated_at", at(`r.updated_at`)},
	}},
	{"projects", `app.projects r` + existed, `r.id`, []column{
		{"id", `r.id`},
		{"name", `r.name`},
		{"description", `r.description`},
		{"status", `r.status`},
		{"owner_id", `r.owner_id`},
		{"created_by", `r.created_by`},
		{"created_at", at(`r.created_at`)},
		{"updated_at", at(`r.updated_at`)},
	}},
	{"invoices", `app.invoices r` + created, `r.id`, []column{
		{"id", `r.id`},
		{"number", `r.number`},
		{"status", `r.status`},
		{"currency", `r.currency`},
		{"amount_due", `r.amount_due`},
		{"amount_paid", `r.amount_paid`},
		{"period_start", at(`r.period_start`)},
		{"period_end", at(`r.period_end`)},
		{"issued_at", at(`r.issued_at`)},
		{"paid_at", at(`r.paid_at`)},
	}},
	{"invitations", `app.invitations r` + created, `r.id`, []column{
		{"id", `r.id`},
		{"email", `r.email`},
		{"role", `r.role`},
		{"custom_role_id", `r.custom_role_id`},
		{"invited_by", `r.invited_by`},
		{"expires_at", at(`r.expires_at`)},
		{"accepted_at", at(`r.accepted_at`)},
		{"revoked_at", at(`r.revoked_at`)},
		{"created_at", at(`r.created_at`)},
	}},
	{"members", `app.memberships r` + all, `r.user_id`, []column{
		{"id", `r.user_id`},
		{"email", `r.email`},
		{"first_name", `r.first_name`},
		{"last_name", `r.last_name`},
		{"role", `r.role`},
		{"custom_role_id", `r.custom_role_id`},
		{"is_active", `r.is_active`},
		{"joined_at", at(`r.joined_at`)},
		{"left_at", at(`r.left_at`)},
		{"created_at", at(`r.created_at`)},
	}},
	{"roles", `app.roles r` + all, `r.id`, []column{
		{"id", `r.id`},
		{"name", `r.name`},
		{"permissions", `to_json(r.permissions)`},
		{"created_at", at(`r.created_at`)},
		{"updated_at", at(`r.updated_at`)},
	}},
	{"domains", `app.tenant_hosts r` + created, `r.id`, []column{
		{"id", `r.id`},
		{"domain", `r.domain`},
		{"is_primary", `r.is_primary`},
		{"verified_at", at(`r.verified_at`)},
		{"created_at", at(`r.created_at`)},
	}},
	{"settings", `app.tenant_settings r` + all, `r.tenant_id`, []column{
		{"features", `r.features`},
		{"preferences", `r.preferences`},
		{"sso_enabled", `r.sso_enabled`},
		{"sso_provider", `r.sso_provider`},
		{"updated_at", at(`r.updated_at`)},
	}},
	{"organization", `app.organizations r` + all, `r.tenant_id`, []column{
		{"id", `r.tenant_id`},
		{"name", `r.name`},
		{"subdomain", `r.subdomain`},
		{"status", `r.status`},
		{"plan", `r.plan`},
		{"timezone", `r.timezone`},
		{"created_at", at(`r.created_at`)},
		{"updated_at", at(`r.updated_at`)},
	}},
}
