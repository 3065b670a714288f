-- What the HTTP API's operations need: legal holds and deletion. It only adds:
-- the release before this one runs beside it.

ALTER TABLE {{schema}}.backup
    ADD COLUMN held_at      timestamptz,
    ADD COLUMN hold_reason  text,
    ADD COLUMN requested_at timestamptz;

COMMENT ON COLUMN {{schema}}.backup.held_at IS 'Since when a legal hold keeps it from being deleted; NULL: none does.';
COMMENT ON COLUMN {{schema}}.backup.hold_reason IS 'Why it is held.';
COMMENT ON COLUMN {{schema}}.backup.requested_at IS 'When its deletion was asked for; NULL: none is under way, or it was given up.';

-- what the reconciler compares with River's jobs, beside backup_open
CREATE INDEX backup_requested ON {{schema}}.backup (id) WHERE requested_at IS NOT NULL;
