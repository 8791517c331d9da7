# The images that are no functions: the router, and the migrations together with the
# smoke test. Functions are built by Google's buildpack from dist/ (cloudbuild.yaml);
# `function` builds one here for docker-compose.yaml.
#
#   docker build --target router .
#   docker build --target migrate .
#   docker build --target function --build-arg FUNCTION=functions/tasks .
#
# The build cache is held by one build at a time (sharing=locked). `docker compose build`
# begins a dozen at once, and Go would compile in each what all of them need.
FROM golang:1.26-bookworm AS build
WORKDIR /src
ENV CGO_ENABLED=0 GOWORK=off GOFLAGS=-trimpath
COPY shared shared
COPY migrations migrations

FROM build AS build-router
COPY router router
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    cd router && go build -ldflags='-s -w' -o /out/router ./cmd

FROM build AS build-migrate
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    cd migrations && go build -ldflags='-s -w' -o /out/migrate ./cmd/migrate
COPY functions functions
COPY schedulers schedulers
COPY scripts scripts
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    cd scripts && go build -ldflags='-s -w' -o /out/smoke ./cmd/release && go build -ldflags='-s -w' -o /out/keys ./cmd/rotate-keys
# A volume that is mounted on a folder takes its owner: the account that writes there.
RUN mkdir /out/secrets

FROM build AS build-function
ARG FUNCTION
COPY functions functions
COPY schedulers schedulers
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    cd "$FUNCTION" && go build -ldflags='-s -w' -o /out/function ./cmd
RUN mkdir /out/objects

# Certificates, time zones and an account; no shell, no package manager.
FROM gcr.io/distroless/static-debian12:nonroot AS base
ENV PORT=8080
EXPOSE 8080

FROM base AS function
COPY --from=build-function --chown=65532:65532 /out/objects /objects
COPY --from=build-function /out/function /function
ENTRYPOINT ["/function"]

FROM base AS migrate
COPY --from=build-migrate /out/smoke /smoke
COPY --from=build-migrate /out/keys /keys
COPY --from=build-migrate --chown=65532:65532 /out/secrets /secrets
COPY --from=build-migrate /out/migrate /migrate
ENTRYPOINT ["/migrate"]
CMD ["up"]

# The last: what `docker build .` makes.
FROM base AS router
COPY --from=build-router /out/router /router
ENTRYPOINT ["/router"]
