-- The derived state: what the node keeps of each device besides its rows.

-- Since when the device is where it is, by its messages' own times: the newest position wins, whatever the order of
-- arrival and whichever node writes it.
ALTER TABLE device_registry ADD COLUMN IF NOT EXISTS located_at timestamptz;

-- Rows of these are updated every few seconds: room in their pages spares their indexes most of it.
ALTER TABLE device_sensors SET (fillfactor = 70);
ALTER TABLE device_state SET (fillfactor = 70);

-- A table of an earlier system may ask for a status, which is for another service to judge.
DO
$$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = 'device_state'::regclass AND attname = 'status' AND NOT atthasdef) THEN
        ALTER TABLE device_state ALTER COLUMN status SET DEFAULT 'OFFLINE';
    END IF;
END
$$;
