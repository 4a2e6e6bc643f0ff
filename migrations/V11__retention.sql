-- Old rows go: partitions of `raw_events` by a function, so that the role that runs needs no right to change tables, as V9 has it for
-- making them; records of the quarantine by their time, which gets an index.
--
-- The function drops one partition and nothing else: a table of the node's own kind (an ordinary one beside `raw_events`, of one day, UTC,
-- or a piece of one) that has been over for a day at least, and only while InfluxDB is owed no point of that day. It looks that up
-- when nobody can write rows, so no entry of the outbox is missed. Writers stand still for that, so it waits only a fifth of a second for
-- them, and not at all for whoever uses the partition itself: where that is not enough, the caller tries again.
DO
$$
DECLARE
    home    CONSTANT name := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                              WHERE c.oid = 'raw_events'::regclass);
    owner   CONSTANT oid  := (SELECT relowner FROM pg_class WHERE oid = 'raw_events'::regclass);
    dropped CONSTANT text := format('%I.ingest_drop_partition(text)', home);
    granted record;
BEGIN
    -- Never replaced: one that another role had made before would stay that role's.
    EXECUTE 'DROP FUNCTION IF EXISTS ' || dropped;
    EXECUTE 'CREATE FUNCTION ' || replace(dropped, '(text)', '(child text)') || replace($make$
        RETURNS boolean
        LANGUAGE plpgsql
        SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET timezone = 'UTC'
        SET datestyle = 'ISO, MDY'
        SET lock_timeout = '200ms'
        AS
        $function$
        DECLARE
            home    CONSTANT name := :home;
            parent  CONSTANT text := format('%I.raw_events', home);
            space   CONSTANT oid  := (SELECT oid FROM pg_namespace WHERE nspname = home);
            found_  record;
            is_owed boolean;
        BEGIN
            IF pg_get_partkeydef(parent::regclass) IS DISTINCT FROM 'RANGE (received_at)' THEN
                RAISE invalid_parameter_value USING MESSAGE = 'raw_events is not partitioned by received_at';
            END IF;
            SELECT c.relkind, c.relnamespace, i.inhdetachpending AS is_half_detached,
                   coalesce(substring(bounds FROM 'FROM \(''([^'']+)''\)')::timestamptz, '-infinity') AS begins,
                   coalesce(substring(bounds FROM 'TO \(''([^'']+)''\)')::timestamptz, 'infinity') AS ends
            INTO found_
            FROM pg_inherits i
            JOIN pg_class c ON c.oid = i.inhrelid
            CROSS JOIN pg_get_expr(c.relpartbound, c.oid) AS bounds
            WHERE i.inhparent = parent::regclass AND c.relname = child
            ORDER BY c.relnamespace <> space
            LIMIT 1;
            IF NOT FOUND THEN
                RETURN false;
            END IF;
            IF found_.relkind <> 'r' OR found_.relnamespace <> space OR found_.is_half_detached
                OR NOT isfinite(found_.begins) OR NOT isfinite(found_.ends)
                OR found_.ends > date_trunc('day', found_.begins) + interval '1 day'
                OR found_.ends > now() - interval '1 day'
            THEN
                RAISE invalid_parameter_value USING
                    MESSAGE = format('%s is not dropped: it must be a partition of one day, over for a day at least', child);
            END IF;
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
            EXECUTE format('LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE NOWAIT', home, child);
            -- Somebody may have detached it, to keep it, before it was locked.
            IF NOT EXISTS (SELECT FROM pg_inherits
                           WHERE inhparent = parent::regclass AND inhrelid = format('%I.%I', home, child)::regclass
                               AND NOT inhdetachpending)
            THEN
                RETURN false;
            END IF;
            EXECUTE format('SELECT EXISTS (SELECT FROM %I.influx_outbox WHERE received_from < $2 AND received_to >= $1)', home)
                INTO is_owed
                USING date_trunc('day', found_.begins), date_trunc('day', found_.begins) + interval '1 day';
            IF is_owed THEN
                RETURN false;
            END IF;
            EXECUTE format('DROP TABLE %I.%I', home, child);
            RETURN true;
        END
        $function$
        $make$, ':home', quote_literal(home));

    -- PUBLIC may execute what is new, and default privileges may have granted more just now.
    FOR granted IN
        SELECT DISTINCT a.grantee FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.oid = dropped::regprocedure AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', dropped,
            CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
    -- Who could drop partitions before still can, also where another role than the table's owner migrates.
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', dropped, owner::regrole);
END
$$;

-- What is old is found without reading what is young.
CREATE INDEX IF NOT EXISTS quarantine_events_ingested ON quarantine_events (ingested_at);
