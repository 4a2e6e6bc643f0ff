-- How far each backfill of InfluxDB has come: `ingest-node backfill` goes on from here, whichever pod it runs in.
CREATE TABLE IF NOT EXISTS influx_backfills (
    id            integer     PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tenant_id     text        NOT NULL,
    -- The server without credentials (or the directory), the database, the layout.
    target        text        NOT NULL,
    received_from timestamptz NOT NULL,
    -- What was asked for (infinity: until now), and what that meant when it began.
    asked_to      timestamptz NOT NULL,
    received_to   timestamptz NOT NULL,
    -- The key in raw_events up to which every point is confirmed.
    position_at     timestamptz NOT NULL,
    position_stream text        NOT NULL DEFAULT '',
    position_seq    bigint      NOT NULL DEFAULT 0,
    -- Points in the database, and points that it refused, up to there.
    written       bigint      NOT NULL DEFAULT 0,
    refused       bigint      NOT NULL DEFAULT 0,
    started_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    finished_at   timestamptz,
    UNIQUE (tenant_id, target, received_from, asked_to)
);
