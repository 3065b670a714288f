-- What the HTTP API's operations need: legal holds. It only adds: the release
-- before this one runs beside it.

ALTER TABLE {{schema}}.backup
    ADD COLUMN held_at     timestamptz,
    ADD COLUMN hold_reason text;

COMMENT ON COLUMN {{schema}}.backup.held_at IS 'Since when a legal hold keeps it from being deleted; NULL: none does.';
COMMENT ON COLUMN {{schema}}.backup.hold_reason IS 'Why it is held.';
