-- Schedules, what became of each of their slots, alerts, and receipts of erasures.
-- It only adds: the release before this one runs beside it.

CREATE TABLE {{schema}}.backup_schedule (
    id                  uuid        PRIMARY KEY,
    user_id             text        NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 200),
    site_id             text        NOT NULL CHECK (octet_length(site_id) BETWEEN 1 AND 200),
    name                text        NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 63),
    version             bigint      NOT NULL DEFAULT 1,
    declared            boolean     NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,

    cron                text        NOT NULL,
    time_zone           text        NOT NULL,
    spread              interval    NOT NULL CHECK (spread >= interval '0'),
    catch_up            text        NOT NULL CHECK (catch_up IN ('none', 'last')),
    overlap             text        NOT NULL CHECK (overlap IN ('skip', 'queue', 'allow')),
    starting_deadline   interval    CHECK (starting_deadline > interval '0'),
    paused_at           timestamptz,
    resumed_from        timestamptz,
    resumed_at          timestamptz,
    retention           jsonb,
    max_age             interval    CHECK (max_age > interval '0'),

    providers           text[]      CHECK (cardinality(providers) > 0),
    labels              jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    continue_on_failure boolean     NOT NULL DEFAULT false,
    max_size            bigint      CHECK (max_size > 0),

    next_slot           timestamptz,
    next_run_at         timestamptz,
    last_slot           timestamptz,
    queued_slot         timestamptz,
    open_skip_slot      timestamptz,
    open_skip_reason    text,

    last_success_at     timestamptz,
    stale_at            timestamptz,
    alert_at            timestamptz,
    event_seq           bigint      NOT NULL DEFAULT 0,

    CONSTRAINT backup_schedule_name UNIQUE (user_id, site_id, name),
    CONSTRAINT backup_schedule_stale CHECK ((stale_at IS NULL) = (max_age IS NULL AND alert_at IS NULL)),
    CONSTRAINT backup_schedule_resumed CHECK ((resumed_from IS NULL) = (resumed_at IS NULL)),
    CONSTRAINT backup_schedule_skip CHECK ((open_skip_slot IS NULL) = (open_skip_reason IS NULL))
) WITH (fillfactor = 80);

-- which are due, which wait for their turn, which may have become too old and which may not be any more
CREATE INDEX backup_schedule_due ON {{schema}}.backup_schedule (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX backup_schedule_queued ON {{schema}}.backup_schedule (queued_slot) WHERE queued_slot IS NOT NULL;
CREATE INDEX backup_schedule_stale_at ON {{schema}}.backup_schedule (stale_at) WHERE alert_at IS NULL AND stale_at IS NOT NULL;
CREATE INDEX backup_schedule_alert ON {{schema}}.backup_schedule (stale_at) WHERE alert_at IS NOT NULL;
-- whose backups retention looks at where the server has no policy
CREATE INDEX backup_schedule_retention ON {{schema}}.backup_schedule (user_id, site_id) WHERE retention IS NOT NULL;

COMMENT ON TABLE  {{schema}}.backup_schedule IS 'When backups of a user''s site are started. A slot is the instant that the cron expression names; it runs behind that by the schedule''s share of its spread.';
COMMENT ON COLUMN {{schema}}.backup_schedule.version IS 'Counts its edits.';
COMMENT ON COLUMN {{schema}}.backup_schedule.declared IS 'Whether it is one of the server''s configuration file.';
COMMENT ON COLUMN {{schema}}.backup_schedule.resumed_at IS 'When its last pause ended, which began at resumed_from: a slot within it that nobody had looked at is one of a pause.';
COMMENT ON COLUMN {{schema}}.backup_schedule.next_slot IS 'The first slot that is not in backup_schedule_run; NULL: there is none any more.';
COMMENT ON COLUMN {{schema}}.backup_schedule.next_run_at IS 'When a tick is to look at it.';
COMMENT ON COLUMN {{schema}}.backup_schedule.last_slot IS 'The last slot that is in backup_schedule_run.';
COMMENT ON COLUMN {{schema}}.backup_schedule.queued_slot IS 'A slot that waits until the backups of earlier ones have ended.';
COMMENT ON COLUMN {{schema}}.backup_schedule.open_skip_slot IS 'The row of backup_schedule_run, of slots that were skipped, which the next skip for that reason adds to.';
COMMENT ON COLUMN {{schema}}.backup_schedule.last_success_at IS 'When a backup of it last became done that isn''t known to be damaged.';
COMMENT ON COLUMN {{schema}}.backup_schedule.stale_at IS 'When to look whether its last good backup, or its having none, is older than max_age.';
COMMENT ON COLUMN {{schema}}.backup_schedule.alert_at IS 'Since when it has been known to be stale.';

CREATE TABLE {{schema}}.backup_schedule_run (
    schedule_id uuid        NOT NULL REFERENCES {{schema}}.backup_schedule ON DELETE CASCADE,
    slot        timestamptz NOT NULL,
    last_slot   timestamptz NOT NULL,
    slots       integer     NOT NULL DEFAULT 1 CHECK (slots >= 1),
    status      text        NOT NULL CHECK (status IN ('started', 'skipped', 'queued')),
    reason      text        CHECK (reason IN ('overlap', 'deadline', 'paused', 'catchUp')),
    backup_id   uuid,
    at          timestamptz NOT NULL,
    PRIMARY KEY (schedule_id, slot),
    CONSTRAINT backup_schedule_run_status CHECK ((status = 'started') = (backup_id IS NOT NULL) AND (status = 'skipped') = (reason IS NOT NULL)),
    CONSTRAINT backup_schedule_run_slots CHECK (last_slot >= slot AND (slots = 1) = (last_slot = slot) AND (slots = 1 OR status = 'skipped'))
) WITH (fillfactor = 80);

-- what the pruner takes
CREATE INDEX backup_schedule_run_at ON {{schema}}.backup_schedule_run (at);

COMMENT ON TABLE  {{schema}}.backup_schedule_run IS 'What became of every slot of a schedule. Slots that were skipped one after another for one reason are one row.';
COMMENT ON COLUMN {{schema}}.backup_schedule_run.slot IS 'The slot, or the first of several.';
COMMENT ON COLUMN {{schema}}.backup_schedule_run.at IS 'When that was decided; of several, the last.';

CREATE TABLE {{schema}}.backup_schedule_event (
    schedule_id  uuid        NOT NULL REFERENCES {{schema}}.backup_schedule ON DELETE CASCADE,
    seq          bigint      NOT NULL CHECK (seq > 0),
    name         text        NOT NULL CHECK (name IN ('ScheduleStale', 'ScheduleFresh')),
    data         jsonb       NOT NULL,
    created_at   timestamptz NOT NULL,
    deliver_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    PRIMARY KEY (schedule_id, seq)
);

CREATE INDEX backup_schedule_event_undelivered ON {{schema}}.backup_schedule_event (deliver_at) WHERE delivered_at IS NULL;
CREATE INDEX backup_schedule_event_at ON {{schema}}.backup_schedule_event (created_at);

COMMENT ON TABLE  {{schema}}.backup_schedule_event IS 'Alerts of schedules whose backups are too old, and their ends.';
COMMENT ON COLUMN {{schema}}.backup_schedule_event.deliver_at IS 'When it may be given to the embedding program''s hook; until then a process is doing that, or has tried.';
COMMENT ON COLUMN {{schema}}.backup_schedule_event.delivered_at IS 'When the embedding program''s hook has taken it.';

ALTER TABLE {{schema}}.backup
    ADD COLUMN schedule_id     uuid,
    ADD COLUMN slot            timestamptz,
    ADD COLUMN late_event_at   timestamptz,
    ADD COLUMN pruned_at       timestamptz,
    ADD COLUMN removed_objects bigint,
    ADD COLUMN removed_bytes   bigint;

COMMENT ON COLUMN {{schema}}.backup.schedule_id IS 'The schedule that started it, which may be gone.';
COMMENT ON COLUMN {{schema}}.backup.slot IS 'The slot it was started for; NULL: somebody ran the schedule out of turn.';
COMMENT ON COLUMN {{schema}}.backup.late_event_at IS 'When its last event was written, if that was after it had ended: a hold, a verification.';
COMMENT ON COLUMN {{schema}}.backup.pruned_at IS 'When its events but the last, attempts and journals were removed; NULL: not yet, or there are later events.';
COMMENT ON COLUMN {{schema}}.backup.removed_objects IS 'How many objects the store had of it when its deletion began to remove them; removed_bytes: of how many bytes.';

CREATE UNIQUE INDEX backup_slot_once ON {{schema}}.backup (schedule_id, slot) WHERE schedule_id IS NOT NULL AND slot IS NOT NULL;
CREATE INDEX backup_of_schedule ON {{schema}}.backup (schedule_id, created_at DESC, id DESC) WHERE schedule_id IS NOT NULL;
-- the newest good backup of a schedule, and of all
CREATE INDEX backup_schedule_good ON {{schema}}.backup (schedule_id, created_at DESC, id DESC) WHERE schedule_id IS NOT NULL AND state = 'done' AND corrupt_at IS NULL;
CREATE INDEX backup_good ON {{schema}}.backup (finished_at DESC) WHERE state = 'done' AND corrupt_at IS NULL;
CREATE INDEX backup_schedule_open ON {{schema}}.backup (schedule_id) WHERE schedule_id IS NOT NULL AND state IN ('pending', 'running', 'sealing');
CREATE INDEX backup_unpruned ON {{schema}}.backup (greatest(finished_at, late_event_at)) WHERE pruned_at IS NULL AND finished_at IS NOT NULL;

CREATE TABLE {{schema}}.backup_erasure (
    id           uuid        PRIMARY KEY,
    user_id      text,
    site_id      text,
    whole_user   boolean     NOT NULL,
    requested_at timestamptz NOT NULL,
    finished_at  timestamptz,
    backups      bigint      NOT NULL DEFAULT 0,
    schedules    bigint      NOT NULL DEFAULT 0,
    objects      bigint      NOT NULL DEFAULT 0,
    bytes        bigint      NOT NULL DEFAULT 0,
    river_job_id bigint,
    run_token    uuid,
    batch        text[],
    error        text,
    CONSTRAINT backup_erasure_forgets CHECK ((finished_at IS NULL) = (user_id IS NOT NULL)
        AND (finished_at IS NULL OR (site_id IS NULL AND batch IS NULL AND error IS NULL)))
);

CREATE UNIQUE INDEX backup_erasure_open ON {{schema}}.backup_erasure (user_id, coalesce(site_id, '')) WHERE finished_at IS NULL;

COMMENT ON TABLE  {{schema}}.backup_erasure IS 'Erasures of all that is a user''s or a site''s. Of one that has finished, what is left is a receipt that names nobody.';
COMMENT ON COLUMN {{schema}}.backup_erasure.backups IS 'Backups whose rows and objects were removed.';
COMMENT ON COLUMN {{schema}}.backup_erasure.objects IS 'Objects that were removed, manifests among them; bytes are theirs.';
COMMENT ON COLUMN {{schema}}.backup_erasure.run_token IS 'Random token of the run that works on it; every write of that run is conditional on it.';
COMMENT ON COLUMN {{schema}}.backup_erasure.batch IS 'Objects that no backup''s row tells of, which are counted and being removed.';
COMMENT ON COLUMN {{schema}}.backup_erasure.error IS 'What holds it up.';

-- Deleted backups, until nobody can write any object of theirs any more.
CREATE TABLE {{schema}}.backup_tombstone (
    backup_id uuid        PRIMARY KEY,
    user_id   text        NOT NULL,
    site_id   text        NOT NULL,
    prefix    text        NOT NULL,
    due_at    timestamptz NOT NULL,
    swept     smallint    NOT NULL DEFAULT 0 CHECK (swept >= 0)
);

CREATE INDEX backup_tombstone_due ON {{schema}}.backup_tombstone (due_at);
CREATE INDEX backup_tombstone_tenant ON {{schema}}.backup_tombstone (user_id, site_id);

COMMENT ON TABLE  {{schema}}.backup_tombstone IS 'Deleted backups whose places in the store are looked at again: a worker that was stopped for longer than its lease may have written there since.';
COMMENT ON COLUMN {{schema}}.backup_tombstone.prefix IS 'What every object''s key began with when it was deleted, without a slash at its end; it names nobody.';
COMMENT ON COLUMN {{schema}}.backup_tombstone.due_at IS 'When that is done next.';
COMMENT ON COLUMN {{schema}}.backup_tombstone.swept IS 'How often it was done.';
