module github.com/coditect/platform/functions/projects

go 1.26

require github.com/coditect/platform/shared v0.0.0

replace (
	github.com/coditect/platform/migrations => ../../migrations
	github.com/coditect/platform/shared => ../../shared
)
