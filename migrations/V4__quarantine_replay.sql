-- What replaying a refused message needs: to know whether its sender had proven who it is (its token is not kept), when
-- it was replayed, and a key that tells the node which replays are an operator's.

ALTER TABLE quarantine_events
    ADD COLUMN IF NOT EXISTS authenticated boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS replayed_at   timestamptz,
    ADD COLUMN IF NOT EXISTS replays       integer NOT NULL DEFAULT 0;

-- Whoever may read this may decide what is replayed.
CREATE TABLE IF NOT EXISTS ingest_node_secrets (
    name   text  PRIMARY KEY,
    secret bytea NOT NULL
);
REVOKE ALL ON ingest_node_secrets FROM PUBLIC;

-- 366 random bits in 32 bytes; gen_random_uuid() draws from the server's cryptographic source.
INSERT INTO ingest_node_secrets (name, secret)
VALUES ('replay', sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT (name) DO NOTHING;
