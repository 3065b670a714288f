ALTER TABLE {{schema}}.backup
    DROP COLUMN held_at, DROP COLUMN hold_reason;
