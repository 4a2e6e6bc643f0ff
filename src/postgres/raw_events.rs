//! What a row's point can be made of, in bounded size: the SQL that every reader of many rows uses.
//!
//! jsonb holds `1e131000` in a few bytes and writes it out in 131,072 digits: a message of 4 KB becomes a text of 6 MB,
//! and takes PostgreSQL 30 ms to write. A point can't hold such a number anyway. So what a point can't hold is left out
//! by PostgreSQL, without being written out, wherever the text would be large.

/// Joins to rows `r`, which have the column `payload`, the text of its member `metrics` as `metrics.text`: as jsonb
/// writes it where that is short, else what of it a point can hold. Null where there is none.
pub const JOIN: &str = "
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN octet_length(whole.text) <= 16384 THEN whole.text
            WHEN jsonb_typeof(r.payload -> 'metrics') = 'object' THEN (
                SELECT jsonb_object_agg(key, CASE jsonb_typeof(value)
                    -- Of more decimal places no f64 knows; the scale is kept above 0, so a float stays one.
                    WHEN 'number' THEN to_jsonb(round(value::numeric, least(scale(value::numeric), 1100)))
                    ELSE value END)::text
                FROM jsonb_each(r.payload -> 'metrics')
                -- The order of tests in AND is not certain, that in CASE is.
                WHERE CASE jsonb_typeof(value)
                    WHEN 'boolean' THEN true
                    WHEN 'number' THEN abs(value::numeric) < 1e309 END)
            END AS text
        FROM (
            -- OFFSET 0: the text is written once, not once for each mention.
            SELECT CASE WHEN NOT (r.payload -> 'metrics') @?
                    'strict $.** ? (@ >= 1e19 || @ <= -1e19 || (@ < 1e-300 && @ > -1e-300 && @ != 0))'
                THEN (r.payload -> 'metrics')::text END AS text OFFSET 0
        ) AS whole
    ) AS metrics";
