DROP INDEX {{schema}}.backup_requested;
ALTER TABLE {{schema}}.backup
    DROP COLUMN held_at, DROP COLUMN hold_reason, DROP COLUMN requested_at;
