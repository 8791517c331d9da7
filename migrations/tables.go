package migrations

// Group says whose rows a table holds, and so what it is distributed by and which policy guards it.
type Group string

const (
	Tenant    Group = "tenant"    // by tenant_id, policy tenant_isolation
	User      Group = "user"      // by user_id, policy user_isolation
	Claim     Group = "claim"     // by its own key, one key visible at a time
	Reference Group = "reference" // on every node, read-only for both application roles
	System    Group = "system"    // on the coordinator alone, for the role that crosses tenants
)

// Key is the column that leads every primary, unique and foreign key of the group's tables; empty where each
// table has its own.
func (g Group) Key() string {
	switch g {
	case Tenant:
		return "tenant_id"
	case User:
		return "user_id"
	case Claim, Reference, System:
	}
	return ""
}

// Tables is every table of schema app and its group.
var Tables = map[string]Group{
	"organizations": Tenant, "tenant_settings": Tenant, "memberships": Tenant, "roles": Tenant,
	"invitations": Tenant, "projects": Tenant, "tasks": Tenant, "comments": Tenant, "attachments": Tenant,
	"project_task_counts": Tenant,
	"activity":            Tenant, "jobs": Tenant, "outbox": Tenant, "processed_messages": Tenant,
	"idempotency_keys": Tenant, "subscriptions": Tenant, "invoices": Tenant, "payment_methods": Tenant, "usage_records": Tenant,
	"usage_reports": Tenant, "usage_warnings": Tenant,
	"sso_connections": Tenant, "sso_identities": Tenant, "tenant_hosts": Tenant,

	"users": User, "credentials": User, "profiles": User, "user_tenants": User, "sessions": User,
	"refresh_tokens": User, "email_tokens": User, "oauth_tokens": User, "user_state": User,
	"user_events": User, "user_outbox": User, "user_processed": User, "user_idempotency_keys": User,

	"email_claims": Claim, "host_claims": Claim, "stripe_customer_claims": Claim, "stripe_events": Claim,
	"mail_recipients": Claim, "mail_sends": Claim,

	"plans": Reference, "permissions": Reference,

	"schedules": System,
}
