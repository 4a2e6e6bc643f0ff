-- Day partitions of `raw_events` without any right to change tables: the role that runs the node needs EXECUTE on this function, in
-- place of membership in the table's owner. A node of the version before makes its partitions itself, as ever.
--
-- It runs with the rights of the role that migrates, so it looks up nothing by a path of the caller's: pg_catalog comes first, temporary
-- tables last, and the table is named with its schema. Its only argument is a day that a broker may have received messages on; all that
-- a caller can make of it is the partition of that day, once.
DO
$$
DECLARE
    home    CONSTANT name := (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                              WHERE c.oid = 'raw_events'::regclass);
    owner   CONSTANT oid  := (SELECT relowner FROM pg_class WHERE oid = 'raw_events'::regclass);
    made    CONSTANT text := format('%I.ingest_make_partitions(date)', home);
    granted record;
BEGIN
    -- Never replaced: one that another role had made before would stay that role's.
    EXECUTE 'DROP FUNCTION IF EXISTS ' || made;
    EXECUTE 'CREATE FUNCTION ' || replace(made, '(date)', '(day date)') || replace($make$
        RETURNS SETOF text
        LANGUAGE plpgsql
        SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp
        SET timezone = 'UTC'
        SET datestyle = 'ISO, MDY'
        AS
        $function$
        DECLARE
            home    CONSTANT name        := :home;
            parent  CONSTANT text        := format('%I.raw_events', home);
            begins  CONSTANT timestamptz := day::timestamp AT TIME ZONE 'UTC';
            ends    CONSTANT timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
            plain   CONSTANT text        := 'raw_events_' || to_char(day, 'YYYYMMDD');
            reached timestamptz := begins;
            covered record;
            child   text;
            number  integer;
        BEGIN
            IF day IS NULL OR day < date '1970-01-01' OR day > current_date + 366 THEN
                RAISE datetime_field_overflow USING
                    MESSAGE = format('no partition of raw_events is made for %s: '
                                     'it must be a day from 1970-01-01 to 366 days from now', day);
            END IF;
            IF pg_get_partkeydef(parent::regclass) IS DISTINCT FROM 'RANGE (received_at)' THEN
                RETURN;
            END IF;
            -- Replicas make the same partitions at the same moment, and so do nodes of the version before.
            PERFORM pg_advisory_xact_lock(7597123306846945282);
            -- What no partition covers of the day, whoever made those; after the last of them the rest of the day.
            FOR covered IN
                SELECT coalesce(substring(bounds FROM 'FROM \(''([^'']+)''\)')::timestamptz, '-infinity') AS first,
                       coalesce(substring(bounds FROM 'TO \(''([^'']+)''\)')::timestamptz, 'infinity') AS after
                FROM pg_inherits i
                JOIN pg_class c ON c.oid = i.inhrelid
                CROSS JOIN pg_get_expr(c.relpartbound, c.oid) AS bounds
                WHERE i.inhparent = parent::regclass AND bounds LIKE 'FOR VALUES FROM%'
                UNION ALL
                SELECT ends, ends
                ORDER BY 1
            LOOP
                IF covered.first > reached AND reached < ends THEN
                    -- A name that is taken may be a detached partition, kept as an archive: it is left alone.
                    child := plain;
                    number := 2;
                    WHILE to_regclass(format('%I.%I', home, child)) IS NOT NULL LOOP
                        child := plain || '_' || number;
                        number := number + 1;
                    END LOOP;
                    BEGIN
                        -- Made beside the table and then attached: unlike CREATE TABLE .. PARTITION OF, that blocks neither
                        -- readers nor writers of the table.
                        EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)', home, child, parent);
                        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                                       parent, home, child, reached, least(covered.first, ends));
                        RETURN NEXT child;
                    EXCEPTION
                        -- Rows of that time lie in somebody's default partition, or somebody was faster: rows go there.
                        WHEN invalid_object_definition OR check_violation THEN
                            NULL;
                    END;
                END IF;
                reached := greatest(reached, covered.after);
            END LOOP;
        END
        $function$
        $make$, ':home', quote_literal(home));

    -- PUBLIC may execute what is new, and default privileges may have granted more just now.
    FOR granted IN
        SELECT DISTINCT a.grantee FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.oid = made::regprocedure AND a.grantee <> p.proowner
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s', made,
            CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
    -- Who could make partitions before still can, also where another role than the table's owner migrates.
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', made, owner::regrole);
END
$$;
