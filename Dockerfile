# The image of ingest-node. `scripts/image NAME:TAG` builds it, with both images below by digest:
#
#   docker build --build-arg BUILD=rust:1.95-slim-bookworm@sha256:... \
#                --build-arg RUNTIME=gcr.io/distroless/cc-debian12:nonroot@sha256:... \
#                --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --tag ingest-node .
#
# Neither has a default: a tag can be moved, and a digest that is written here would go without their security fixes.
# `docker buildx imagetools inspect gcr.io/distroless/cc-debian12:nonroot` prints the digest of today.
ARG BUILD
ARG RUNTIME

FROM ${BUILD} AS build
WORKDIR /src
COPY . .
# The caches keep dependencies between builds; the binary leaves them before the layer ends. Its debug information goes into a
# file of its own (`docker build --target debug --output . .`), which debuggers find by the program's build id or link.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --locked --bin ingest-node \
    && objcopy --only-keep-debug target/release/ingest-node /usr/local/bin/ingest-node.debug \
    && objcopy --strip-all --add-gnu-debuglink=/usr/local/bin/ingest-node.debug \
        target/release/ingest-node /usr/local/bin/ingest-node

# A place for line-protocol files that belongs to nobody in particular: the image below has no shell to make it with.
RUN install --directory --owner=65532 --group=65532 /data

FROM scratch AS debug
COPY --from=build /usr/local/bin/ingest-node.debug /

# glibc, root certificates (for TLS) and nothing else: no shell, no package manager.
FROM ${RUNTIME}
ARG RUNTIME
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="ingest-node" \
      org.opencontainers.image.description="IoT messages from NATS JetStream into PostgreSQL and InfluxDB" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${RUNTIME}"
COPY --from=build /usr/local/bin/ingest-node /usr/local/bin/ingest-node
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /
USER 65532:65532
EXPOSE 8080 8090
ENTRYPOINT ["ingest-node"]
CMD ["run"]
