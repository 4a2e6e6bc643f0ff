# Build: docker build -t ingest-node .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep dependencies between builds; the binary leaves them before the layer ends.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin ingest-node \
    && cp target/release/ingest-node /usr/local/bin/ingest-node

FROM debian:bookworm-slim
# Root certificates: for NATS over TLS.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/ingest-node /usr/local/bin/ingest-node
# Nobody in particular: the node needs no home, no shell, and writes nothing but line-protocol files below /data.
RUN install --directory --owner=65532 --group=65532 /data
WORKDIR /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["ingest-node"]
CMD ["run"]
