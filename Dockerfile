# Build: docker build -t ingest-node .
ARG BUILD=rust:1.95-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

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

# glibc, root certificates (for TLS) and nothing else: no shell, no package manager. For builds that can be repeated, name both
# images by digest: --build-arg RUNTIME=gcr.io/distroless/cc-debian12@sha256:...
FROM ${RUNTIME}
COPY --from=build /usr/local/bin/ingest-node /usr/local/bin/ingest-node
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /
USER 65532:65532
EXPOSE 8080 8090
ENTRYPOINT ["ingest-node"]
CMD ["run"]
