-- What InfluxDB has not confirmed yet: one row per tenant, flush and stretch of the broker's time, written in the
-- transaction that commits the rows it is about. Whatever stays is rebuilt from `raw_events` and written again.
CREATE TABLE IF NOT EXISTS influx_outbox (
    id            bigserial   PRIMARY KEY,
    tenant_id     text        NOT NULL,
    stream        text        NOT NULL,
    received_from timestamptz NOT NULL,
    received_to   timestamptz NOT NULL,
    lines         bigint      NOT NULL,
    -- The node that still works on it; null: whoever claims it first.
    owner         uuid,
    -- Whether a replay claimed it; else its lines came with their deliveries.
    claimed       boolean     NOT NULL DEFAULT false,
    -- Failed replays, and when the next one may begin.
    attempts      integer     NOT NULL DEFAULT 0,
    retry_at      timestamptz NOT NULL DEFAULT now(),
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- To claim a tenant's oldest, and to find the owners that are gone, without reading what others work on.
CREATE INDEX IF NOT EXISTS influx_outbox_free ON influx_outbox (tenant_id, retry_at, id) WHERE owner IS NULL;
CREATE INDEX IF NOT EXISTS influx_outbox_owned ON influx_outbox (owner) WHERE owner IS NOT NULL;

-- Rows come and go by the second, so dead ones are swept early.
ALTER TABLE influx_outbox SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 10000);

-- Nodes and when they last said that they live.
CREATE TABLE IF NOT EXISTS ingest_nodes (
    node_id uuid        PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
