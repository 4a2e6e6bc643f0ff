-- What the provisioning API writes beside the registry: activation codes and the history of tokens, both only as hashes.
-- Tables of these names that exist already only gain what is missing, as ever.

ALTER TABLE device_registry ADD COLUMN IF NOT EXISTS fw_version text;

-- A device has at most one code that was not used: a new one replaces it.
CREATE TABLE IF NOT EXISTS device_activation (
    tenant_id            text NOT NULL,
    device_id            text NOT NULL,
    activation_code_hash text NOT NULL,
    PRIMARY KEY (tenant_id, device_id, activation_code_hash)
);
ALTER TABLE device_activation
    ADD COLUMN IF NOT EXISTS activation_code_hash text,
    ADD COLUMN IF NOT EXISTS site_id              text,
    ADD COLUMN IF NOT EXISTS created_at           timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS expires_at           timestamptz,
    ADD COLUMN IF NOT EXISTS used_at              timestamptz;

-- One row for each thing that happened to a device's token. `token_hash` is the token that it is about: the one that was
-- issued, or the one that was in force, if any, when the device was revoked.
CREATE TABLE IF NOT EXISTS device_token_history (
    tenant_id text NOT NULL,
    device_id text NOT NULL
);
ALTER TABLE device_token_history
    ADD COLUMN IF NOT EXISTS action     text,
    ADD COLUMN IF NOT EXISTS token_hash text,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now();
-- A device without a token can be revoked.
ALTER TABLE device_token_history ALTER COLUMN token_hash DROP NOT NULL;
CREATE INDEX IF NOT EXISTS device_token_history_device ON device_token_history (tenant_id, device_id, created_at DESC);

-- The gateway finds the device of a token by its hash.
CREATE INDEX IF NOT EXISTS device_registry_token ON device_registry (provision_token_hash)
    WHERE provision_token_hash IS NOT NULL;
