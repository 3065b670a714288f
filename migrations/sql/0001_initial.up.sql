-- Backups, their tasks, the parts of what a task stored, and the events that
-- announced every change.

CREATE TABLE {{schema}}.backup (
    id                    uuid        PRIMARY KEY,
    user_id               text        NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 200),
    site_id               text        NOT NULL CHECK (octet_length(site_id) BETWEEN 1 AND 200),
    state                 text        NOT NULL DEFAULT 'pending'
                                      CHECK (state IN ('pending', 'running', 'sealing', 'done', 'failed', 'canceled', 'deleting')),

    providers             text[]      CHECK (cardinality(providers) > 0),
    labels                jsonb       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    continue_on_failure   boolean     NOT NULL DEFAULT false,

    idempotency_key       text        CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    source_job_id         bigint,
    source_job_created_at timestamptz,

    created_at            timestamptz NOT NULL DEFAULT now(),
    started_at            timestamptz,
    finished_at           timestamptz,
    cancel_requested_at   timestamptz,

    open_tasks            integer     NOT NULL DEFAULT 0 CHECK (open_tasks >= 0),
    failed_tasks          integer     NOT NULL DEFAULT 0 CHECK (failed_tasks >= 0),
    event_seq             bigint      NOT NULL DEFAULT 0 CHECK (event_seq >= 0),

    river_job_id          bigint,
    lease_token           uuid,
    lease_until           timestamptz,
    lease_worker          text,
    failures              integer     NOT NULL DEFAULT 0 CHECK (failures >= 0),
    next_attempt_at       timestamptz,

    error_class           text,
    error                 text,
    error_hint            text,

    generation            integer     NOT NULL DEFAULT 1 CHECK (generation >= 1),
    manifest              bytea,
    manifest_key          text,

    CONSTRAINT backup_idempotency_key UNIQUE (user_id, site_id, idempotency_key),
    CONSTRAINT backup_source_job UNIQUE (source_job_id, source_job_created_at),
    CONSTRAINT backup_finished CHECK (state = 'deleting' OR (state IN ('done', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    CONSTRAINT backup_done_is_whole CHECK (state <> 'done' OR (open_tasks = 0 AND failed_tasks = 0 AND manifest IS NOT NULL AND manifest_key IS NOT NULL)),
    CONSTRAINT backup_lease CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CONSTRAINT backup_source CHECK ((source_job_id IS NULL) = (source_job_created_at IS NULL))
) WITH (fillfactor = 70);

-- "the backups of this user / site, newest first", and all of them, newest first
CREATE INDEX backup_tenant ON {{schema}}.backup (user_id, site_id, created_at DESC, id DESC);
CREATE INDEX backup_newest ON {{schema}}.backup (created_at DESC, id DESC);
-- what the reconciler compares with River's jobs
CREATE INDEX backup_open ON {{schema}}.backup (id) WHERE state IN ('pending', 'running', 'sealing');

COMMENT ON TABLE  {{schema}}.backup IS 'One backup of a user''s site. Its row is locked first in every change of it or of its tasks.';
COMMENT ON COLUMN {{schema}}.backup.state IS 'pending (to be planned) -> running (its tasks are) -> sealing (its manifest is written) -> done | failed | canceled; deleting.';
COMMENT ON COLUMN {{schema}}.backup.providers IS 'The providers that were asked for; NULL: all that are configured when it is planned.';
COMMENT ON COLUMN {{schema}}.backup.source_job_id IS 'The River job that made this row, where somebody else''s River client asked for the backup.';
COMMENT ON COLUMN {{schema}}.backup.cancel_requested_at IS 'A cancel that waits for tasks which are committing.';
COMMENT ON COLUMN {{schema}}.backup.open_tasks IS 'Exact number of tasks that are not done, failed or canceled.';
COMMENT ON COLUMN {{schema}}.backup.event_seq IS 'seq of its newest event.';
COMMENT ON COLUMN {{schema}}.backup.river_job_id IS 'The only River job that may plan or seal it.';
COMMENT ON COLUMN {{schema}}.backup.lease_token IS 'Random token of the worker that plans or seals it; every write of that worker is conditional on it.';
COMMENT ON COLUMN {{schema}}.backup.failures IS 'Failed attempts of the present step (planning or sealing) that count.';
COMMENT ON COLUMN {{schema}}.backup.generation IS 'Counts up when a retry exports finished tasks again, so that each generation has a manifest of its own.';
COMMENT ON COLUMN {{schema}}.backup.manifest IS 'The manifest''s bytes, set before they are written to the store.';

CREATE TABLE {{schema}}.backup_task (
    id                  uuid        PRIMARY KEY,
    backup_id           uuid        NOT NULL REFERENCES {{schema}}.backup ON DELETE CASCADE,
    provider            text        NOT NULL CHECK (provider ~ '^[a-z0-9]+([_-][a-z0-9]+)*$' AND length(provider) <= 40),
    state               text        NOT NULL DEFAULT 'pending'
                                    CHECK (state IN ('pending', 'running', 'committing', 'done', 'failed', 'canceled')),

    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz,
    failures            integer     NOT NULL DEFAULT 0 CHECK (failures >= 0),
    next_attempt_at     timestamptz,

    river_job_id        bigint,
    lease_token         uuid,
    lease_until         timestamptz,
    lease_worker        text,

    upload_id           uuid        NOT NULL,
    object_key          text        NOT NULL CHECK (octet_length(object_key) BETWEEN 1 AND 1024),
    validator           text        NOT NULL DEFAULT '',
    content_type        text        NOT NULL DEFAULT '',
    announced_size      bigint      CHECK (announced_size >= 0),
    received_bytes      bigint      NOT NULL DEFAULT 0 CHECK (received_bytes >= 0),
    stored_bytes        bigint      NOT NULL DEFAULT 0 CHECK (stored_bytes >= 0),
    stored_parts        integer     NOT NULL DEFAULT 0 CHECK (stored_parts BETWEEN 0 AND 50000),
    hash_state          bytea,
    capture_started_at  timestamptz,
    capture_finished_at timestamptz,

    size                bigint      CHECK (size >= 0),
    sha256              bytea       CHECK (octet_length(sha256) = 32),
    proof               text        CHECK (proof IN ('length', 'digest', 'framing', 'none')),

    error_class         text,
    error               text,
    error_hint          text,

    CONSTRAINT backup_task_provider UNIQUE (backup_id, provider),
    CONSTRAINT backup_task_finished CHECK ((state IN ('done', 'failed', 'canceled')) = (finished_at IS NOT NULL)),
    CONSTRAINT backup_task_gate CHECK (state NOT IN ('committing', 'done')
        OR (size IS NOT NULL AND sha256 IS NOT NULL AND proof IS NOT NULL AND stored_bytes = size AND capture_finished_at IS NOT NULL)),
    CONSTRAINT backup_task_lease CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CONSTRAINT backup_task_leased CHECK (lease_token IS NULL OR state IN ('running', 'committing'))
) WITH (fillfactor = 70);

COMMENT ON TABLE  {{schema}}.backup_task IS 'One provider''s export within a backup.';
COMMENT ON COLUMN {{schema}}.backup_task.state IS 'pending -> running -> committing (the part list is final) -> done | failed | canceled. A task that waits for its next attempt is pending with next_attempt_at.';
COMMENT ON COLUMN {{schema}}.backup_task.failures IS 'Failed attempts that count: not those whose worker died or was stopped, nor waits that the source asked for.';
COMMENT ON COLUMN {{schema}}.backup_task.river_job_id IS 'The only River job that may work on it.';
COMMENT ON COLUMN {{schema}}.backup_task.lease_token IS 'Random token of the worker that holds it; every write of that worker is conditional on it.';
COMMENT ON COLUMN {{schema}}.backup_task.upload_id IS 'Changes whenever the export begins again at its first byte.';
COMMENT ON COLUMN {{schema}}.backup_task.validator IS 'The strong ETag, or its equivalent, under which the stored bytes were read.';
COMMENT ON COLUMN {{schema}}.backup_task.stored_bytes IS 'The journal: bytes, from the first on without a gap, that are stored, hashed and listed in backup_part.';
COMMENT ON COLUMN {{schema}}.backup_task.hash_state IS 'The state of SHA-256 over stored_bytes.';
COMMENT ON COLUMN {{schema}}.backup_task.proof IS 'How the end of the stream was proven.';

CREATE TABLE {{schema}}.backup_part (
    task_id   uuid    NOT NULL REFERENCES {{schema}}.backup_task ON DELETE CASCADE,
    idx       integer NOT NULL CHECK (idx BETWEEN 0 AND 49999),
    part_id   text    NOT NULL,
    size      bigint  NOT NULL CHECK (size > 0),
    crc64     bigint  NOT NULL,
    PRIMARY KEY (task_id, idx)
);

COMMENT ON TABLE  {{schema}}.backup_part IS 'The parts of a task''s object, in order; those of its present upload_id.';
COMMENT ON COLUMN {{schema}}.backup_part.crc64 IS 'CRC-64/NVME; the 64 bits as a signed number.';

CREATE TABLE {{schema}}.backup_event (
    backup_id  uuid        NOT NULL REFERENCES {{schema}}.backup ON DELETE CASCADE,
    seq        bigint      NOT NULL CONSTRAINT backup_event_seq CHECK (seq > 0),
    name       text        NOT NULL CHECK (name IN ('UploadJobCreated', 'UpdateUploadJob', 'UpdateTask', 'UpdatePartTask')),
    provider   text,
    data       jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (backup_id, seq)
);

COMMENT ON TABLE {{schema}}.backup_event IS 'Every change of a backup and its tasks, numbered without gaps, written in the transaction that made the change.';
