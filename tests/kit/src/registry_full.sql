-- The platform's tables as a node finds them in the field, before its own migrations: every index, unique key, check,
-- foreign key, trigger and policy that the platform puts on them. `raw_events` is the node's own and not among them.

-- Roles belong to the cluster: whoever comes first makes them.
DO
$$
DECLARE
    role record;
BEGIN
    FOR role IN SELECT * FROM (VALUES ('pulse_app', 'NOLOGIN'), ('pulse_operator', 'NOLOGIN BYPASSRLS')) r (name, options) LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I %s', role.name, role.options);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
END
$$;

CREATE FUNCTION update_updated_at_column() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TABLE app_settings (
    key        text        PRIMARY KEY,
    value      text        NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE subscriptions (
    subscription_id        text        PRIMARY KEY,
    tenant_id              text        NOT NULL,
    subscription_type      text        NOT NULL CHECK (subscription_type IN ('MAIN', 'ADDON', 'TRIAL', 'TEMPORARY')),
    parent_subscription_id text        REFERENCES subscriptions (subscription_id),
    device_limit           integer     NOT NULL DEFAULT 0,
    active_device_count    integer     NOT NULL DEFAULT 0,
    term_start             timestamptz NOT NULL DEFAULT now(),
    term_end               timestamptz NOT NULL DEFAULT now() + interval '1 year',
    status                 text        NOT NULL DEFAULT 'ACTIVE'
        CHECK (status IN ('TRIAL', 'ACTIVE', 'GRACE', 'SUSPENDED', 'EXPIRED')),
    grace_end              timestamptz,
    plan_id                text,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_subscriptions_tenant ON subscriptions (tenant_id);
CREATE INDEX idx_subscriptions_status ON subscriptions (status);

CREATE TABLE device_tiers (
    tier_id              serial      PRIMARY KEY,
    name                 varchar(50) NOT NULL UNIQUE,
    features             jsonb       NOT NULL DEFAULT '{}',
    default_sensor_limit integer     NOT NULL DEFAULT 15
);

CREATE TABLE device_registry (
    tenant_id            text        NOT NULL,
    device_id            text        NOT NULL,
    site_id              text        NOT NULL,
    status               text        NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'REVOKED', 'PENDING')),
    device_pubkey        text,
    fw_version           text,
    provision_token      text,
    provision_token_hash text,
    subscription_id      text        REFERENCES subscriptions (subscription_id),
    latitude             double precision,
    longitude            double precision,
    location_source      text        DEFAULT 'auto' CHECK (location_source IN ('auto', 'manual')),
    sensor_limit         integer     DEFAULT 20,
    tier_id              integer     REFERENCES device_tiers (tier_id),
    plan_id              text,
    template_id          integer,
    parent_device_id     text,
    mac_address          text,
    imei                 text,
    iccid                text,
    serial_number        text,
    metadata             jsonb       NOT NULL DEFAULT '{}',
    created_at           timestamptz NOT NULL DEFAULT now(),
    updated_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, device_id)
);
CREATE INDEX idx_device_registry_site ON device_registry (tenant_id, site_id);
CREATE INDEX idx_device_registry_site_alone ON device_registry (site_id);
CREATE INDEX idx_device_registry_token ON device_registry (provision_token_hash);
CREATE INDEX idx_device_registry_subscription ON device_registry (subscription_id);
CREATE UNIQUE INDEX idx_device_registry_imei ON device_registry (tenant_id, imei) WHERE imei IS NOT NULL;
CREATE UNIQUE INDEX idx_device_registry_mac ON device_registry (tenant_id, mac_address) WHERE mac_address IS NOT NULL;
CREATE TRIGGER trg_device_registry_updated_at BEFORE UPDATE ON device_registry
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE device_certificates (
    id                 bigserial   PRIMARY KEY,
    tenant_id          text        NOT NULL,
    device_id          text        NOT NULL,
    cert_pem           text        NOT NULL,
    fingerprint_sha256 varchar(64) NOT NULL UNIQUE,
    common_name        text        NOT NULL,
    issuer             text        NOT NULL,
    serial_number      text        NOT NULL,
    status             text        NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'REVOKED', 'EXPIRED')),
    not_before         timestamptz NOT NULL,
    not_after          timestamptz NOT NULL,
    revoked_at         timestamptz,
    revoked_reason     text,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_registry (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX idx_device_certificates_device ON device_certificates (tenant_id, device_id);
CREATE INDEX idx_device_certificates_expiry ON device_certificates (not_after) WHERE status = 'ACTIVE';

CREATE TABLE device_modules (
    id             serial      PRIMARY KEY,
    tenant_id      text        NOT NULL,
    device_id      text        NOT NULL,
    slot_key       text        NOT NULL,
    bus_address    text,
    metric_key_map jsonb       NOT NULL DEFAULT '{}',
    status         text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'removed')),
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_registry (tenant_id, device_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_device_modules_slot
    ON device_modules (tenant_id, device_id, slot_key, coalesce(bus_address, ''));
CREATE TRIGGER trg_device_modules_updated_at BEFORE UPDATE ON device_modules
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE device_sensors (
    id               serial      PRIMARY KEY,
    tenant_id        text        NOT NULL,
    device_id        text        NOT NULL,
    metric_key       text        NOT NULL,
    display_name     text,
    unit             text,
    min_range        numeric,
    max_range        numeric,
    precision_digits integer     NOT NULL DEFAULT 2,
    status           text        NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'error')),
    source           text        NOT NULL DEFAULT 'required' CHECK (source IN ('required', 'optional', 'unmodeled')),
    last_value       numeric,
    last_value_text  text,
    last_seen_at     timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, device_id, metric_key),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_registry (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX idx_device_sensors_device ON device_sensors (tenant_id, device_id);
CREATE INDEX idx_device_sensors_metric ON device_sensors (metric_key);
CREATE TRIGGER trg_device_sensors_updated_at BEFORE UPDATE ON device_sensors
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE device_state (
    tenant_id            text        NOT NULL,
    device_id            text        NOT NULL,
    site_id              text        NOT NULL,
    status               text        NOT NULL,
    last_heartbeat_at    timestamptz,
    last_telemetry_at    timestamptz,
    last_seen_at         timestamptz,
    last_state_change_at timestamptz NOT NULL DEFAULT now(),
    state                jsonb       NOT NULL DEFAULT '{}',
    desired_state        jsonb       NOT NULL DEFAULT '{}',
    reported_state       jsonb       NOT NULL DEFAULT '{}',
    desired_version      integer     NOT NULL DEFAULT 0,
    reported_version     integer     NOT NULL DEFAULT 0,
    shadow_updated_at    timestamptz,
    PRIMARY KEY (tenant_id, device_id)
);
CREATE INDEX idx_device_state_site ON device_state (site_id);
CREATE INDEX idx_device_state_status ON device_state (tenant_id, status);

CREATE TABLE device_commands (
    tenant_id      text        NOT NULL,
    command_id     text        NOT NULL,
    device_id      text        NOT NULL,
    command_type   text        NOT NULL,
    command_params jsonb       NOT NULL DEFAULT '{}',
    status         text        NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'delivered', 'missed', 'expired')),
    published_at   timestamptz,
    acked_at       timestamptz,
    ack_details    jsonb,
    expires_at     timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    created_by     text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, command_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES device_registry (tenant_id, device_id) ON DELETE CASCADE
);
CREATE INDEX idx_device_commands_pending ON device_commands (tenant_id, device_id, created_at) WHERE status = 'queued';

CREATE TABLE message_routes (
    id                 serial       PRIMARY KEY,
    tenant_id          text         NOT NULL,
    name               varchar(100) NOT NULL,
    topic_filter       varchar(200) NOT NULL,
    destination_type   varchar(20)  NOT NULL CHECK (destination_type IN ('webhook', 'mqtt_republish', 'postgresql')),
    destination_config jsonb        NOT NULL DEFAULT '{}',
    payload_filter     jsonb,
    is_enabled         boolean      NOT NULL DEFAULT true,
    created_at         timestamptz  NOT NULL DEFAULT now(),
    updated_at         timestamptz  NOT NULL DEFAULT now()
);
CREATE INDEX idx_message_routes_tenant ON message_routes (tenant_id, is_enabled);
CREATE TRIGGER trg_message_routes_updated_at BEFORE UPDATE ON message_routes
    FOR EACH ROW EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE dead_letter_messages (
    id                 bigserial    PRIMARY KEY,
    tenant_id          text         NOT NULL,
    route_id           integer      REFERENCES message_routes (id) ON DELETE SET NULL,
    original_topic     varchar(200) NOT NULL,
    payload            jsonb        NOT NULL,
    destination_type   varchar(20)  NOT NULL,
    destination_config jsonb        NOT NULL DEFAULT '{}',
    error_message      text,
    attempts           integer      NOT NULL DEFAULT 1,
    status             varchar(20)  NOT NULL DEFAULT 'FAILED' CHECK (status IN ('FAILED', 'REPLAYED', 'DISCARDED')),
    created_at         timestamptz  NOT NULL DEFAULT now(),
    replayed_at        timestamptz
);

CREATE TABLE quarantine_events (
    id               bigserial   PRIMARY KEY,
    ingested_at      timestamptz NOT NULL DEFAULT now(),
    event_ts         timestamptz,
    topic            text        NOT NULL,
    tenant_id        text,
    site_id          text,
    device_id        text,
    msg_type         text,
    reason           text        NOT NULL,
    payload          jsonb       NOT NULL,
    envelope_version text        NOT NULL DEFAULT '1'
);
CREATE INDEX quarantine_events_ingested_idx ON quarantine_events (ingested_at DESC);
CREATE INDEX quarantine_events_device_idx ON quarantine_events (device_id, ingested_at DESC);
CREATE INDEX quarantine_events_reason_idx ON quarantine_events (reason, ingested_at DESC);

CREATE TABLE quarantine_counters_minute (
    bucket_minute timestamptz NOT NULL,
    tenant_id     text        NOT NULL,
    reason        text        NOT NULL,
    cnt           bigint      NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket_minute, tenant_id, reason)
);
CREATE INDEX quarantine_counters_minute_idx ON quarantine_counters_minute (bucket_minute DESC);

-- Row security: the application sees the tenant that its session names, the operator everything. FORCE binds the tables'
-- owner, too; a superuser and a role with BYPASSRLS see everything.
DO
$$
DECLARE
    secured text;
BEGIN
    FOREACH secured IN ARRAY ARRAY['subscriptions', 'device_registry', 'device_certificates', 'device_modules',
        'device_sensors', 'device_state', 'device_commands', 'message_routes', 'dead_letter_messages',
        'quarantine_events', 'quarantine_counters_minute'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', secured);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', secured);
        EXECUTE format('CREATE POLICY %I ON %I TO pulse_app USING (tenant_id = current_setting(''app.tenant_id'', true))',
            secured || '_tenant', secured);
        EXECUTE format('CREATE POLICY %I ON %I TO pulse_operator USING (true)', secured || '_operator', secured);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA public TO pulse_app, pulse_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO pulse_app, pulse_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO pulse_app;
