-- A schema for what only the node may read. In the schema of the shared tables the platform's own
-- `GRANT ... ON ALL TABLES` gave its application role the key that decides which replays are an operator's.

-- Somebody who made it first would own what is put there.
DO
$$
BEGIN
    IF EXISTS (SELECT FROM pg_namespace
               WHERE nspname = 'ingest_node' AND NOT pg_has_role(current_user, nspowner, 'USAGE')) THEN
        RAISE EXCEPTION 'the schema ingest_node belongs to another role';
    END IF;
END
$$;
CREATE SCHEMA IF NOT EXISTS ingest_node;

-- Whoever may read this may decide what is replayed.
CREATE TABLE IF NOT EXISTS ingest_node.secrets (
    name   text  PRIMARY KEY,
    secret bytea NOT NULL
);

-- Default privileges may have granted rights on both just now: nobody but the owner keeps any. Who runs the node as another
-- role than the one that migrates grants it USAGE on the schema and SELECT on the table.
DO
$$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT 'SCHEMA' AS kind, a.grantee FROM pg_namespace n, aclexplode(n.nspacl) a
        WHERE n.nspname = 'ingest_node' AND a.grantee <> n.nspowner
        UNION
        SELECT 'TABLE', a.grantee FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'ingest_node.secrets'::regclass AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s',
            CASE granted.kind WHEN 'SCHEMA' THEN 'SCHEMA ingest_node' ELSE 'TABLE ingest_node.secrets' END,
            CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
END
$$;

-- A new key: the old one may have been read. Replays that are under way lose their trust and are refused again, which
-- keeps them.
INSERT INTO ingest_node.secrets (name, secret)
VALUES ('replay', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT (name) DO NOTHING;

-- A node of the version before looks here. It finds no key and trusts no replay, and nobody can put one here for it: the
-- view has no table beneath it.
DROP TABLE IF EXISTS ingest_node_secrets;
CREATE VIEW ingest_node_secrets AS SELECT NULL::text AS name, NULL::bytea AS secret WHERE false;

-- The broker's time of the report that the shadow holds: of reports of one version the later one wins, in whatever order
-- they arrive. `shadow_updated_at` is others' to write.
ALTER TABLE device_state ADD COLUMN IF NOT EXISTS reported_at timestamptz;
