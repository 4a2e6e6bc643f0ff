-- Every table the node reads or writes.
--
-- On an empty database they are made; where tables of these names exist already they only gain what is missing: a table
-- is created with its key alone and its columns are added one by one, so that both ways end at the same place. The
-- registry's tables belong to other services: no foreign keys here, their owners' constraints stay as they are.

-- Rows of accepted deliveries. Fixed-width columns come first (no padding). The key holds broker facts only and starts
-- with the time, so that a day's index grows at its right edge.
CREATE TABLE IF NOT EXISTS raw_events (
    received_at timestamptz NOT NULL,
    event_ts    timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    seq         bigint,
    stream_seq  bigint      NOT NULL,
    accepted    boolean     NOT NULL DEFAULT true,
    stream      text        NOT NULL,
    tenant_id   text,
    site_id     text,
    device_id   text,
    msg_type    text,
    topic       text,
    payload     jsonb
) PARTITION BY RANGE (received_at);

-- A table of an earlier system: its old rows have no broker facts, and nulls never collide in the key.
ALTER TABLE raw_events
    ADD COLUMN IF NOT EXISTS received_at timestamptz,
    ADD COLUMN IF NOT EXISTS event_ts    timestamptz,
    ADD COLUMN IF NOT EXISTS ingested_at timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS seq         bigint,
    ADD COLUMN IF NOT EXISTS stream_seq  bigint,
    ADD COLUMN IF NOT EXISTS accepted    boolean DEFAULT true,
    ADD COLUMN IF NOT EXISTS stream      text,
    ADD COLUMN IF NOT EXISTS tenant_id   text,
    ADD COLUMN IF NOT EXISTS site_id     text,
    ADD COLUMN IF NOT EXISTS device_id   text,
    ADD COLUMN IF NOT EXISTS msg_type    text,
    ADD COLUMN IF NOT EXISTS topic       text,
    ADD COLUMN IF NOT EXISTS payload     jsonb;
-- A mirrored reject may lack any of these.
ALTER TABLE raw_events
    ALTER COLUMN tenant_id DROP NOT NULL,
    ALTER COLUMN site_id   DROP NOT NULL,
    ALTER COLUMN device_id DROP NOT NULL,
    ALTER COLUMN msg_type  DROP NOT NULL,
    ALTER COLUMN topic     DROP NOT NULL,
    ALTER COLUMN payload   DROP NOT NULL;

CREATE UNIQUE INDEX IF NOT EXISTS raw_events_delivery_key ON raw_events (received_at, stream, stream_seq);

-- Refused messages. `raw` holds the bytes, and `payload` is null, whenever jsonb can't hold the payload.
CREATE TABLE IF NOT EXISTS quarantine_events (
    id          bigserial   PRIMARY KEY,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    topic       text        NOT NULL,
    reason      text        NOT NULL
);
ALTER TABLE quarantine_events
    ADD COLUMN IF NOT EXISTS ingested_at      timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS event_ts         timestamptz,
    ADD COLUMN IF NOT EXISTS topic            text,
    ADD COLUMN IF NOT EXISTS tenant_id        text,
    ADD COLUMN IF NOT EXISTS site_id          text,
    ADD COLUMN IF NOT EXISTS device_id        text,
    ADD COLUMN IF NOT EXISTS msg_type         text,
    ADD COLUMN IF NOT EXISTS reason           text,
    ADD COLUMN IF NOT EXISTS detail           text,
    ADD COLUMN IF NOT EXISTS payload          jsonb,
    ADD COLUMN IF NOT EXISTS raw              bytea,
    ADD COLUMN IF NOT EXISTS received_at      timestamptz,
    ADD COLUMN IF NOT EXISTS stream           text,
    ADD COLUMN IF NOT EXISTS stream_seq       bigint,
    ADD COLUMN IF NOT EXISTS envelope_version text DEFAULT '1';
ALTER TABLE quarantine_events
    ALTER COLUMN payload DROP NOT NULL;

-- One refusal per message and reason: a redelivered refusal is suppressed, and so is its count.
CREATE UNIQUE INDEX IF NOT EXISTS quarantine_events_delivery_key
    ON quarantine_events (received_at, stream, stream_seq, reason);
CREATE INDEX IF NOT EXISTS quarantine_events_tenant ON quarantine_events (tenant_id, ingested_at DESC);

CREATE TABLE IF NOT EXISTS quarantine_counters_minute (
    bucket_minute timestamptz NOT NULL,
    tenant_id     text        NOT NULL,
    reason        text        NOT NULL,
    cnt           bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket_minute, tenant_id, reason)
);

CREATE TABLE IF NOT EXISTS device_registry (
    tenant_id text NOT NULL,
    device_id text NOT NULL,
    site_id   text NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
);
ALTER TABLE device_registry
    ADD COLUMN IF NOT EXISTS status               text        NOT NULL DEFAULT 'ACTIVE',
    ADD COLUMN IF NOT EXISTS provision_token_hash text,
    ADD COLUMN IF NOT EXISTS subscription_id      text,
    ADD COLUMN IF NOT EXISTS sensor_limit         integer,
    ADD COLUMN IF NOT EXISTS tier_id              integer,
    ADD COLUMN IF NOT EXISTS latitude             double precision,
    ADD COLUMN IF NOT EXISTS longitude            double precision,
    ADD COLUMN IF NOT EXISTS location_source      text                 DEFAULT 'auto',
    ADD COLUMN IF NOT EXISTS metadata             jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS created_at           timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at           timestamptz NOT NULL DEFAULT now();

CREATE TABLE IF NOT EXISTS subscriptions (
    subscription_id text PRIMARY KEY,
    tenant_id       text NOT NULL
);
ALTER TABLE subscriptions
    ADD COLUMN IF NOT EXISTS subscription_type      text        NOT NULL DEFAULT 'MAIN',
    ADD COLUMN IF NOT EXISTS parent_subscription_id text,
    ADD COLUMN IF NOT EXISTS device_limit           integer     NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS active_device_count    integer     NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS term_start             timestamptz,
    ADD COLUMN IF NOT EXISTS term_end               timestamptz,
    ADD COLUMN IF NOT EXISTS status                 text        NOT NULL DEFAULT 'ACTIVE',
    ADD COLUMN IF NOT EXISTS grace_end              timestamptz,
    ADD COLUMN IF NOT EXISTS plan_id                text,
    ADD COLUMN IF NOT EXISTS created_at             timestamptz          DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at             timestamptz          DEFAULT now();
CREATE INDEX IF NOT EXISTS subscriptions_tenant ON subscriptions (tenant_id, status);

CREATE TABLE IF NOT EXISTS device_tiers (
    tier_id serial PRIMARY KEY
);
ALTER TABLE device_tiers
    ADD COLUMN IF NOT EXISTS name                 text,
    ADD COLUMN IF NOT EXISTS features             jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS default_sensor_limit integer;

CREATE TABLE IF NOT EXISTS device_certificates (
    id        bigserial PRIMARY KEY,
    tenant_id text NOT NULL,
    device_id text NOT NULL
);
ALTER TABLE device_certificates
    ADD COLUMN IF NOT EXISTS cert_pem           text,
    ADD COLUMN IF NOT EXISTS fingerprint_sha256 text UNIQUE,
    ADD COLUMN IF NOT EXISTS common_name        text,
    ADD COLUMN IF NOT EXISTS issuer             text,
    ADD COLUMN IF NOT EXISTS serial_number      text,
    ADD COLUMN IF NOT EXISTS status             text NOT NULL DEFAULT 'ACTIVE',
    ADD COLUMN IF NOT EXISTS not_before         timestamptz,
    ADD COLUMN IF NOT EXISTS not_after          timestamptz,
    ADD COLUMN IF NOT EXISTS revoked_at         timestamptz,
    ADD COLUMN IF NOT EXISTS revoked_reason     text,
    ADD COLUMN IF NOT EXISTS created_at         timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at         timestamptz DEFAULT now();
CREATE INDEX IF NOT EXISTS device_certificates_device ON device_certificates (tenant_id, device_id);

CREATE TABLE IF NOT EXISTS device_modules (
    id        bigserial PRIMARY KEY,
    tenant_id text NOT NULL,
    device_id text NOT NULL
);
ALTER TABLE device_modules
    ADD COLUMN IF NOT EXISTS slot_key       text,
    ADD COLUMN IF NOT EXISTS bus_address    text,
    ADD COLUMN IF NOT EXISTS label          text,
    ADD COLUMN IF NOT EXISTS metric_key_map jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS status         text  NOT NULL DEFAULT 'active',
    ADD COLUMN IF NOT EXISTS created_at     timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at     timestamptz DEFAULT now();
CREATE UNIQUE INDEX IF NOT EXISTS device_modules_slot
    ON device_modules (tenant_id, device_id, slot_key, coalesce(bus_address, ''));

CREATE TABLE IF NOT EXISTS device_sensors (
    id         bigserial PRIMARY KEY,
    tenant_id  text NOT NULL,
    device_id  text NOT NULL,
    metric_key text NOT NULL,
    UNIQUE (tenant_id, device_id, metric_key)
);
ALTER TABLE device_sensors
    ADD COLUMN IF NOT EXISTS display_name     text,
    ADD COLUMN IF NOT EXISTS unit             text,
    ADD COLUMN IF NOT EXISTS min_range        numeric,
    ADD COLUMN IF NOT EXISTS max_range        numeric,
    ADD COLUMN IF NOT EXISTS precision_digits integer     NOT NULL DEFAULT 2,
    ADD COLUMN IF NOT EXISTS status           text        NOT NULL DEFAULT 'active',
    ADD COLUMN IF NOT EXISTS source           text        NOT NULL DEFAULT 'unmodeled',
    ADD COLUMN IF NOT EXISTS last_value       numeric,
    ADD COLUMN IF NOT EXISTS last_value_text  text,
    ADD COLUMN IF NOT EXISTS last_seen_at     timestamptz,
    ADD COLUMN IF NOT EXISTS created_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at       timestamptz NOT NULL DEFAULT now();

CREATE TABLE IF NOT EXISTS device_state (
    tenant_id text NOT NULL,
    device_id text NOT NULL,
    PRIMARY KEY (tenant_id, device_id)
);
ALTER TABLE device_state
    ADD COLUMN IF NOT EXISTS site_id              text,
    ADD COLUMN IF NOT EXISTS status               text        NOT NULL DEFAULT 'OFFLINE',
    ADD COLUMN IF NOT EXISTS last_heartbeat_at    timestamptz,
    ADD COLUMN IF NOT EXISTS last_telemetry_at    timestamptz,
    ADD COLUMN IF NOT EXISTS last_seen_at         timestamptz,
    ADD COLUMN IF NOT EXISTS last_state_change_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS state                jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS desired_state        jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS reported_state       jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS desired_version      bigint      NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS reported_version     bigint      NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS shadow_updated_at    timestamptz;

CREATE TABLE IF NOT EXISTS device_commands (
    tenant_id  text NOT NULL,
    command_id text NOT NULL,
    device_id  text NOT NULL,
    PRIMARY KEY (tenant_id, command_id)
);
ALTER TABLE device_commands
    ADD COLUMN IF NOT EXISTS command_type   text,
    ADD COLUMN IF NOT EXISTS command_params jsonb       NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS status         text        NOT NULL DEFAULT 'queued',
    ADD COLUMN IF NOT EXISTS published_at   timestamptz,
    ADD COLUMN IF NOT EXISTS acked_at       timestamptz,
    ADD COLUMN IF NOT EXISTS ack_details    jsonb,
    ADD COLUMN IF NOT EXISTS expires_at     timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    ADD COLUMN IF NOT EXISTS created_by     text,
    ADD COLUMN IF NOT EXISTS created_at     timestamptz NOT NULL DEFAULT now();

CREATE TABLE IF NOT EXISTS message_routes (
    id        bigserial PRIMARY KEY,
    tenant_id text NOT NULL
);
ALTER TABLE message_routes
    ADD COLUMN IF NOT EXISTS name               text,
    ADD COLUMN IF NOT EXISTS topic_filter       text    NOT NULL DEFAULT '#',
    ADD COLUMN IF NOT EXISTS destination_type   text    NOT NULL DEFAULT 'webhook',
    ADD COLUMN IF NOT EXISTS destination_config jsonb   NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS payload_filter     jsonb,
    ADD COLUMN IF NOT EXISTS is_enabled         boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS created_at         timestamptz DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at         timestamptz DEFAULT now();
CREATE INDEX IF NOT EXISTS message_routes_tenant ON message_routes (tenant_id) WHERE is_enabled;

CREATE TABLE IF NOT EXISTS app_settings (
    key        text PRIMARY KEY,
    value      text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO app_settings (key, value)
VALUES ('MODE', 'PROD'),
       ('STORE_REJECTS', '1'),
       ('MIRROR_REJECTS_TO_RAW', '0'),
       ('MAX_PAYLOAD_BYTES', '8192'),
       ('RATE_LIMIT_RPS', '5'),
       ('RATE_LIMIT_BURST', '20')
ON CONFLICT (key) DO NOTHING;
