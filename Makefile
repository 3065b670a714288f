GO ?= go
LINT = $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: all demo test race soak lint openapi-lint generate dist compose clean

all: lint test

# The main job, on whatever this machine has.
demo:
	$(GO) run ./cmd/backupd demo

test:
	$(GO) test ./...

race:
	$(GO) test -race ./...

# The tests with all their cases, which takes hours.
soak:
	BACKUP_TEST_SOAK=1 $(GO) test -count=1 -p=1 -timeout=4h ./...

lint:
	$(LINT) run ./...

# The API's description, by two linters from npm and all their recommended rules.
openapi-lint:
	cd httpapi/client && npx --yes @redocly/cli@2.77.0 lint --max-problems=1000 --config redocly.yaml openapi.json
	cd httpapi/client && npx --yes @stoplight/spectral-cli@6.16.3 lint --fail-severity=hint --ruleset .spectral.yaml openapi.json

# What is generated and committed: the documentation page's Swagger UI, from its
# npm package at a pinned version and checksum, which needs npm; and the API's
# description with the client that is made of it.
generate:
	$(GO) generate ./httpapi/...

# Static binaries for the image targets prebuilt-*.
dist:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o dist/ ./cmd/backupd ./examples/mockapi

compose:
	docker compose up --build

clean:
	rm -rf dist
