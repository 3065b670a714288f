-- What the engine needs to know of attempts, limits and sources that resume by a
-- cursor. It only adds and relaxes: the release before this one runs beside it.

ALTER TABLE {{schema}}.backup
    ADD COLUMN max_size bigint CHECK (max_size > 0),
    ADD CONSTRAINT backup_label_texts CHECK (NOT jsonb_path_exists(labels, 'strict $.* ? (@.type() != "string")', '{}', true));

COMMENT ON COLUMN {{schema}}.backup.max_size IS 'The most bytes all its exports together may have; NULL: no limit.';

-- "how many other backups has this user open", for the order in which they run
CREATE INDEX backup_user_open ON {{schema}}.backup (user_id, id) WHERE state IN ('pending', 'running', 'sealing');

ALTER TABLE {{schema}}.backup_task
    ADD COLUMN claims         integer NOT NULL DEFAULT 0,
    ADD COLUMN claimed_at     timestamptz,
    ADD COLUMN from_bytes     bigint  NOT NULL DEFAULT 0,
    ADD COLUMN attempts       jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN progress_bytes bigint  NOT NULL DEFAULT 0,
    ADD COLUMN progress_at    timestamptz,
    ADD COLUMN cursor         text    NOT NULL DEFAULT '',
    ADD COLUMN staged_at      timestamptz,
    ADD COLUMN rate           bigint  NOT NULL DEFAULT 0;

COMMENT ON COLUMN {{schema}}.backup_task.claims IS 'How often a worker has claimed it: the number of its present or last attempt.';
COMMENT ON COLUMN {{schema}}.backup_task.claimed_at IS 'When the present or last attempt began.';
COMMENT ON COLUMN {{schema}}.backup_task.from_bytes IS 'The byte at which the present or last attempt began to read.';
COMMENT ON COLUMN {{schema}}.backup_task.attempts IS 'The last 100 attempts that have ended, in order.';
COMMENT ON COLUMN {{schema}}.backup_task.progress_bytes IS 'The most bytes the journal ever had when an attempt failed. An attempt that was resumed and came further starts the count of failures again.';
COMMENT ON COLUMN {{schema}}.backup_task.progress_at IS 'When that last happened, or else when an attempt first failed: from then on RetryFor counts.';
COMMENT ON COLUMN {{schema}}.backup_task.cursor IS 'Where a source that is resumed by an opaque cursor goes on behind stored_bytes.';
COMMENT ON COLUMN {{schema}}.backup_task.staged_at IS 'When the journal was last written: staged parts live six days longer.';
COMMENT ON COLUMN {{schema}}.backup_task.rate IS 'Bytes a second, as of the last heartbeat.';

-- One row for each task that is under a limit over all processes. Without such
-- limits it stays empty.
CREATE TABLE {{schema}}.backup_slot (
    task_id    uuid        PRIMARY KEY REFERENCES {{schema}}.backup_task ON DELETE CASCADE,
    backup_id  uuid        NOT NULL,
    provider   text        NOT NULL,
    user_id    text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('waiting', 'admitted', 'running')),
    rank       smallint    NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    admitted_at timestamptz
) WITH (fillfactor = 70);

CREATE INDEX backup_slot_order ON {{schema}}.backup_slot (state, rank, created_at);

COMMENT ON TABLE  {{schema}}.backup_slot IS 'Tasks under a limit over all processes: those that wait for room, without a River job; those that were given room, with one; and those that run.';
COMMENT ON COLUMN {{schema}}.backup_slot.admitted_at IS 'When it was given room. That is kept for it for a minute: perhaps nobody works its queue.';
COMMENT ON COLUMN {{schema}}.backup_slot.rank IS 'The River job''s priority: who waits with fewer backups goes first.';
