-- Missing readings as derived state: the numbers of each device's messages, its usual interval, and its silence. All times are
-- the broker's. docs/missing-readings.md says what each column means.
ALTER TABLE device_state
    -- The highest number, and of those below it: how many are missing, came late, came again.
    ADD COLUMN IF NOT EXISTS last_seq           bigint,
    ADD COLUMN IF NOT EXISTS seq_missing        bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS seq_late           bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS seq_repeats        bigint  NOT NULL DEFAULT 0,
    -- How often the device began to count again, and when it did last.
    ADD COLUMN IF NOT EXISTS seq_resets         bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS seq_reset_at       timestamptz,
    -- The numbers that did not come: first and last of each range, the lowest range first.
    ADD COLUMN IF NOT EXISTS seq_missing_ranges bigint[],
    -- The node's own notes on where it is in the numbers, and how it measures the interval.
    ADD COLUMN IF NOT EXISTS seq_notes          bigint[],
    ADD COLUMN IF NOT EXISTS usual_interval_ms  bigint,
    -- Nobody need look at the device before this moment.
    ADD COLUMN IF NOT EXISTS silence_due_at     timestamptz,
    ADD COLUMN IF NOT EXISTS silent_since       timestamptz,
    -- Whether the alert of its silence is published; when it came back, until that alert is published, too.
    ADD COLUMN IF NOT EXISTS silence_alerted    boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS returned_at        timestamptz;

-- The devices to look at, those that are silent, and the alerts that are to be published. What they index changes now and
-- then, not with every message: an update that changes no index is a cheap one.
CREATE INDEX IF NOT EXISTS device_state_silence_due ON device_state (silence_due_at) WHERE silent_since IS NULL;
CREATE INDEX IF NOT EXISTS device_state_silent ON device_state (tenant_id) WHERE silent_since IS NOT NULL;
CREATE INDEX IF NOT EXISTS device_state_alerts ON device_state (tenant_id, device_id)
    WHERE silent_since IS NOT NULL AND NOT silence_alerted OR returned_at IS NOT NULL;

-- Up to when each replica has written what it heard. One that has said nothing for a while is gone.
CREATE TABLE IF NOT EXISTS ingest_state_writers (
    node_id    uuid        PRIMARY KEY,
    flushed_at timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- What one replica at a time does, and until when it has it.
CREATE TABLE IF NOT EXISTS ingest_leases (
    name   text        PRIMARY KEY,
    holder uuid        NOT NULL,
    until  timestamptz NOT NULL
);
