-- Tells every node at once what changed in the tables it caches: channel `ingest_invalidate`, one small JSON object
-- {"t": table, "tenant": .., "device": ..} per change. Without "device" it is about the whole tenant, without "tenant"
-- about everything.
--
-- Statement triggers with transition tables: a change of thousands of rows ends in few notifications, and a change of
-- columns that no node reads (a location, a counter) in none. A session that sets `ingest_node.quiet` to `on` sends none.

CREATE OR REPLACE FUNCTION ingest_notify_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path FROM CURRENT -- the writing session's own may not lead here
AS
$$
DECLARE
    -- From the finest scope to the coarsest; the first that needs few enough notifications is used.
    scopes  CONSTANT text[]  := ARRAY ['device', 'tenant', 'all'];
    most    CONSTANT integer := 100;
    -- NOTIFY takes payloads below 8000 bytes.
    longest CONSTANT integer := 7900;
    columns text;
    changed text;
    note    text;
    notes   text[];
BEGIN
    IF current_setting('ingest_node.quiet', true) = 'on' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('ingest_invalidate', json_build_object('t', TG_TABLE_NAME)::text);
        RETURN NULL;
    END IF;

    columns := TG_ARGV[1];
    changed := CASE TG_OP
        WHEN 'INSERT' THEN format('SELECT %s FROM new_rows', columns)
        WHEN 'DELETE' THEN format('SELECT %s FROM old_rows', columns)
        ELSE format('(SELECT %1$s FROM old_rows EXCEPT SELECT %1$s FROM new_rows) UNION ALL '
                    '(SELECT %1$s FROM new_rows EXCEPT SELECT %1$s FROM old_rows)', columns)
    END;

    FOR level IN array_position(scopes, TG_ARGV[0]) .. array_length(scopes, 1) LOOP
        EXECUTE format(
            'SELECT array_agg(note) FROM (SELECT DISTINCT json_build_object(%s)::text AS note FROM (%s) c LIMIT %s) n',
            CASE scopes[level]
                WHEN 'device' THEN $q$'t', $1, 'tenant', tenant_id, 'device', device_id$q$
                WHEN 'tenant' THEN $q$'t', $1, 'tenant', tenant_id$q$
                ELSE $q$'t', $1$q$
            END, changed, most + 1) INTO notes USING TG_TABLE_NAME::text;

        IF notes IS NULL THEN
            RETURN NULL;
        END IF;
        CONTINUE WHEN cardinality(notes) > most OR longest < (SELECT max(octet_length(n)) FROM unnest(notes) n);
        FOREACH note IN ARRAY notes LOOP
            PERFORM pg_notify('ingest_invalidate', note);
        END LOOP;
        RETURN NULL;
    END LOOP;
    RETURN NULL;
END
$$;

-- Which tables, the finest scope of a change, and the columns that a node reads.
DO
$$
DECLARE
    watched record;
    event   record;
BEGIN
    FOR watched IN
        SELECT * FROM (VALUES
            ('device_registry', 'device', 'tenant_id, device_id, site_id, status, provision_token_hash, subscription_id, '
                                          'sensor_limit, tier_id, location_source'),
            ('device_certificates', 'device', 'tenant_id, device_id, common_name, status, not_after'),
            ('device_modules', 'device', 'tenant_id, device_id, metric_key_map, status'),
            ('subscriptions', 'tenant', 'tenant_id, subscription_id, subscription_type, status, device_limit'),
            ('message_routes', 'tenant', 'tenant_id, id, topic_filter, destination_type, destination_config, '
                                         'payload_filter, is_enabled'),
            ('device_tiers', 'all', 'tier_id, default_sensor_limit'),
            ('app_settings', 'all', 'key, value')
        ) AS t (name, scope, columns)
    LOOP
        FOR event IN
            SELECT * FROM (VALUES
                ('INSERT', 'REFERENCING NEW TABLE AS new_rows'),
                ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'),
                ('DELETE', 'REFERENCING OLD TABLE AS old_rows'),
                ('TRUNCATE', '')
            ) AS e (name, transition)
        LOOP
            EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', 'ingest_notify_' || lower(event.name), watched.name);
            EXECUTE format(
                'CREATE TRIGGER %I AFTER %s ON %I %s FOR EACH STATEMENT EXECUTE FUNCTION ingest_notify_change(%L, %L)',
                'ingest_notify_' || lower(event.name), event.name, watched.name, event.transition,
                watched.scope, watched.columns);
        END LOOP;
    END LOOP;
END
$$;
