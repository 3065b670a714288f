DROP TABLE {{schema}}.backup_key;
DROP INDEX {{schema}}.backup_requested;
DROP INDEX {{schema}}.backup_exclusive;
ALTER TABLE {{schema}}.backup
    DROP COLUMN held_at, DROP COLUMN hold_reason, DROP COLUMN requested_at, DROP COLUMN exclusive,
    DROP COLUMN sample, DROP COLUMN verified_at, DROP COLUMN corrupt_at, DROP COLUMN verification;
