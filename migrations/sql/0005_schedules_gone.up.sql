-- What schedules that are gone and erasures leave behind them, deletions that were given
-- up, and what a tick has to know of a row. It only adds: the release before this one
-- runs beside it.

CREATE TABLE {{schema}}.backup_schedule_gone (
    id         uuid        PRIMARY KEY,
    user_id    text        NOT NULL,
    site_id    text        NOT NULL,
    time_zone  text        NOT NULL,
    retention  jsonb,
    deleted_at timestamptz NOT NULL
);

CREATE INDEX backup_schedule_gone_tenant ON {{schema}}.backup_schedule_gone (user_id, site_id);

COMMENT ON TABLE  {{schema}}.backup_schedule_gone IS 'Schedules that were deleted, as long as there are backups of theirs: retention judges these as if the schedule were there.';
COMMENT ON COLUMN {{schema}}.backup_schedule_gone.retention IS 'Its policy; NULL: the server''s default.';

CREATE TABLE {{schema}}.backup_forgotten (
    digest bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
    prefix text        NOT NULL,
    due_at timestamptz NOT NULL,
    swept  smallint    NOT NULL DEFAULT 0 CHECK (swept >= 0)
);

CREATE INDEX backup_forgotten_due ON {{schema}}.backup_forgotten (due_at);

COMMENT ON TABLE  {{schema}}.backup_forgotten IS 'Tombstones of erased users and sites: they name nobody, and are found by going through the store.';
COMMENT ON COLUMN {{schema}}.backup_forgotten.digest IS 'SHA-256 of the backup''s id, which has 74 random bits.';
COMMENT ON COLUMN {{schema}}.backup_forgotten.prefix IS 'What every object''s key began with when it was deleted, without a slash at its end; it names nobody.';
COMMENT ON COLUMN {{schema}}.backup_forgotten.due_at IS 'When the store is looked through next.';
COMMENT ON COLUMN {{schema}}.backup_forgotten.swept IS 'How often it was.';

ALTER TABLE {{schema}}.backup_schedule
    ADD COLUMN spread_at       timestamptz,
    ADD COLUMN set_aside_until timestamptz;

COMMENT ON COLUMN {{schema}}.backup_schedule.spread_at IS 'When its spread was last changed: a slot that is due because of that is no later than that.';
COMMENT ON COLUMN {{schema}}.backup_schedule.set_aside_until IS 'Until when its queued slot is left alone, because its row made a tick fail.';

-- deletions to be asked for again, and schedules that a clock was ahead for
CREATE INDEX backup_given_up ON {{schema}}.backup (id) WHERE state = 'deleting' AND requested_at IS NULL;
CREATE INDEX backup_schedule_ahead ON {{schema}}.backup_schedule (last_slot);
