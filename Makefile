# What one does with this checkout. `make` alone lists it; the work is in scripts/.

SHELL := /bin/bash

# Built, not `go run`: that one would die of a SIGTERM and leave its child behind.
LOCAL := .local/bin/local

$(LOCAL): FORCE
	@test -x $@ || echo "building $@ and everything in it: a minute or two, once" >&2
	@go build -o $@ ./scripts/cmd/local

.DEFAULT_GOAL := help
.PHONY: FORCE help hooks bench bench-go run run-split doctor reset psql tenant billing replay demo test test-citus test-stripe test-env conformance documents fuzz lint fmt generate tidy deps verify package package-lambda migrate new-migration new-function terraform-check site

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {sub(/:.*/, "", $$1); printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run

run: $(LOCAL) ## The whole platform on 127.0.0.1:8080 (PORT, CODITECT_HOME; Ctrl-C stops it)
	@exec $(LOCAL) run

run-split: $(LOCAL) ## The same as deployed: each function its own process, behind two routers
	@exec $(LOCAL) run-split

doctor: $(LOCAL) ## Check every tool and say how to get what is missing
	@$(LOCAL) doctor

reset: $(LOCAL) ## Delete the local platform's data (asks first; YES=1 does not)
	@$(LOCAL) reset

psql: $(LOCAL) ## A shell on the running local database (ARGS="-c 'select 1'", ROLE=app|system|migrator)
	@$(LOCAL) psql $(ARGS)

tenant: $(LOCAL) ## The operator's command (ARGS="suspend|resume|restore acme", "plan acme pro", "add acme ada@example.com admin")
	@$(LOCAL) tenant $(ARGS)

billing: $(LOCAL) ## What an organization pays for, here and at Stripe (ARGS="show acme", "sync acme", "replay evt_1"; STRIPE_SECRET_KEY elsewhere)
	@$(LOCAL) billing $(ARGS)

replay: $(LOCAL) ## Dead letters: list them (no ARGS), or deliver them again (ARGS="all", a kind such as mail.invitation, or a message id)
	@$(LOCAL) replay $(ARGS)

demo: $(LOCAL) ## Fill a demonstration organization of the platform that runs (PORT, CODITECT_URL), and print the logins
	@$(LOCAL) demo

##@ Check

test: $(LOCAL) ## Install what tests need and run all of them with the race detector (PKG=./shared/db/... for some)
	@$(LOCAL) deps
	@$(LOCAL) test-env -- scripts/test.sh $(PKG)

test-citus: ## The tests on a Citus cluster, whose coordinator CITUS_URL names (docs/citus.md; ARGS='-run Worker')
	@test -n "$$CITUS_URL" || { echo "CITUS_URL is not set: see docs/citus.md" >&2; exit 2; }
	@go test -tags citus -count=1 -p 1 -timeout 60m $(ARGS) $$(printf './%s... ' functions/*/ schedulers/*/) ./shared/... ./tests/...

test-stripe: ## Billing on a Stripe account in test mode (STRIPE_SECRET_KEY=sk_test_…; STRIPE_API_URL for another server)
	@scripts/test-stripe.sh

test-env: $(LOCAL) ## Keep a test database up, so that a bare `go test` works (ARGS=down stops it)
	@$(LOCAL) test-env $(or $(ARGS),up)

conformance: $(LOCAL) ## Requests made from the OpenAPI document, whose answers must keep its promises (N=20000, SEED=1)
	@$(LOCAL) deps
	@$(LOCAL) test-env -- go test ./tests -count=1 -timeout 24h -v -run 'TestConformance$$' -conformance.requests $(or $(N),20000) -conformance.seed $(or $(SEED),1)

documents: ## The collection for Postman run whole, and the documentation's page used in Chromium, on a platform of their own
	@scripts/documents.sh

fuzz: $(LOCAL) ## Every fuzz target for FUZZTIME (30s each)
	@$(LOCAL) test-env -- scripts/fuzz.sh

bench: FORCE ## The platform measured beside what limits it (ARGS="-only get,list -rounds 2 -seconds 3", docs/benchmarks.md)
	@go build -o .local/bin/bench ./scripts/cmd/bench
	@exec .local/bin/bench $(ARGS)

bench-go: $(LOCAL) ## The Go benchmarks of every module (BENCH=Edge for some, BENCHTIME=1s each)
	@$(LOCAL) deps
	@scripts/bench.sh

lint: ## Format, golangci-lint, house rules, shellcheck, actionlint, the manifests of the cloud
	@scripts/lint.sh

verify: ## Generated files are current, modules tidy, every function builds as the cloud builds it
	@scripts/verify.sh

terraform-check: ## Terraform's modules and environments, without a cloud account (TERRAFORM_CHECK, ARGS="redis router" for some)
	@scripts/terraform-check.sh $(ARGS)

##@ Change

fmt: ## Format the Go code
	@scripts/each-module.sh gofmt -l -w .

generate: ## Write what is generated from the operations and functions.json
	@scripts/generate.sh

hooks: ## Check format and house rules before each commit, and use the commit template
	@git config core.hooksPath .githooks && git config commit.template .gitmessage

tidy: ## go mod tidy in every module
	@cd shared && GOWORK=off go mod tidy # first: what the others need follows from it
	@scripts/each-module.sh env GOWORK=off go mod tidy

deps: $(LOCAL) ## Fetch modules, PostgreSQL, PgBouncer and a C compiler
	@$(LOCAL) deps
	@scripts/each-module.sh go mod download

migrate: $(LOCAL) ## Migrate the local database (ARGS="up|down|status", default up)
	@$(LOCAL) migrate $(or $(ARGS),up)

new-migration: ## Begin a migration (NAME=add_labels)
	@go run ./migrations/cmd/migrate create "$(NAME)"

new-function: ## Begin a function that builds, tests and deploys (NAME=labels)
	@go run ./scripts/cmd/new-function "$(NAME)"

##@ Ship

site: ## The documents as static pages, into dist/site (ARGS="-out DIR")
	@go run ./scripts/cmd/site $(ARGS)

package: ## The archive of every function, into dist/
	@scripts/package.sh

package-lambda: ## The archive of every function for AWS Lambda, into dist/lambda/
	@scripts/package-lambda.sh
