module github.com/coditect/platform/migrations

go 1.26
