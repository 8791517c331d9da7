// Code generated from functions/functions.json by `make generate`. DO NOT EDIT.

package all

import (
	"github.com/coditect/platform/functions/activity"
	"github.com/coditect/platform/functions/attachments"
	"github.com/coditect/platform/functions/auth"
	"github.com/coditect/platform/functions/billing"
	"github.com/coditect/platform/functions/exporter"
	"github.com/coditect/platform/functions/jobs"
	"github.com/coditect/platform/functions/mailer"
	"github.com/coditect/platform/functions/membersync"
	"github.com/coditect/platform/functions/projects"
	"github.com/coditect/platform/functions/reporter"
	"github.com/coditect/platform/functions/stripeevents"
	"github.com/coditect/platform/functions/stripewebhook"
	"github.com/coditect/platform/functions/tasks"
	"github.com/coditect/platform/functions/tenants"
	"github.com/coditect/platform/functions/users"
	"github.com/coditect/platform/schedulers/billingsync"
	"github.com/coditect/platform/schedulers/dailysummary"
	"github.com/coditect/platform/schedulers/domaincheck"
	"github.com/coditect/platform/schedulers/outboxrelay"
	"github.com/coditect/platform/schedulers/retention"
	"github.com/coditect/platform/schedulers/rotation"
	"github.com/coditect/platform/schedulers/usagereport"
	"github.com/coditect/platform/schedulers/usagesync"
)

// openers lists every deployable, by name.
var openers = []opener{
	{name: "activity", open: activity.Open, function: activity.Function},
	{name: "attachments", open: attachments.Open, function: attachments.Function},
	{name: "auth", open: auth.Open, function: auth.Function},
	{name: "billing", open: billing.Open, function: billing.Function},
	{name: "billingsync", open: billingsync.Open},
	{name: "dailysummary", open: dailysummary.Open},
	{name: "domaincheck", open: domaincheck.Open},
	{name: "exporter", open: exporter.Open},
	{name: "jobs", open: jobs.Open, function: jobs.Function},
	{name: "mailer", open: mailer.Open},
	{name: "membersync", open: membersync.Open},
	{name: "outboxrelay", open: outboxrelay.Open},
	{name: "projects", open: projects.Open, function: projects.Function},
	{name: "reporter", open: reporter.Open},
	{name: "retention", open: retention.Open},
	{name: "rotation", open: rotation.Open},
	{name: "stripeevents", open: stripeevents.Open},
	{name: "stripewebhook", open: stripewebhook.Open, function: stripewebhook.Function},
	{name: "tasks", open: tasks.Open, function: tasks.Function},
	{name: "tenants", open: tenants.Open, function: tenants.Function},
	{name: "usagereport", open: usagereport.Open},
	{name: "usagesync", open: usagesync.Open},
	{name: "users", open: users.Open, function: users.Function},
}
