module github.com/coditect/platform/functions/all

go 1.26

require (
	github.com/coditect/platform/functions/activity v0.0.0
	github.com/coditect/platform/functions/auth v0.0.0
	github.com/coditect/platform/functions/projects v0.0.0
	github.com/coditect/platform/functions/tasks v0.0.0
	github.com/coditect/platform/functions/tenants v0.0.0
	github.com/coditect/platform/functions/users v0.0.0
	github.com/coditect/platform/shared v0.0.0
)

replace (
	github.com/coditect/platform/migrations => ../../migrations
	github.com/coditect/platform/shared => ../../shared
)

replace github.com/coditect/platform/functions/activity => ../../functions/activity

replace github.com/coditect/platform/functions/auth => ../../functions/auth

replace github.com/coditect/platform/functions/projects => ../../functions/projects

replace github.com/coditect/platform/functions/tasks => ../../functions/tasks

replace github.com/coditect/platform/functions/tenants => ../../functions/tenants

replace github.com/coditect/platform/functions/users => ../../functions/users
