-- A certificate is not valid before its `not_before`, nor once `revoked_at` is set: changes of these are told like those of
-- its other columns.
DO
$$
DECLARE
    event record;
BEGIN
    FOR event IN
        SELECT * FROM (VALUES
            ('INSERT', 'REFERENCING NEW TABLE AS new_rows'),
            ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'),
            ('DELETE', 'REFERENCING OLD TABLE AS old_rows')
        ) AS e (name, transition)
    LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON device_certificates', 'ingest_notify_' || lower(event.name));
        EXECUTE format(
            'CREATE TRIGGER %I AFTER %s ON device_certificates %s FOR EACH STATEMENT '
            'EXECUTE FUNCTION ingest_notify_change(%L, %L)',
            'ingest_notify_' || lower(event.name), event.name, event.transition, 'device',
            'tenant_id, device_id, common_name, status, not_before, not_after, revoked_at');
    END LOOP;
END
$$;
