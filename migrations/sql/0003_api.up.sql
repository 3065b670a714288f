-- What the HTTP API's operations need: legal holds, deletion, backups that
-- are started once, and verification. It only adds: the release before this one runs beside it.

ALTER TABLE {{schema}}.backup
    ADD COLUMN held_at      timestamptz,
    ADD COLUMN hold_reason  text,
    ADD COLUMN requested_at timestamptz,
    ADD COLUMN exclusive    boolean NOT NULL DEFAULT false,
    ADD COLUMN sample       double precision,
    ADD COLUMN verified_at  timestamptz,
    ADD COLUMN corrupt_at   timestamptz,
    ADD COLUMN verification jsonb;

COMMENT ON COLUMN {{schema}}.backup.held_at IS 'Since when a legal hold keeps it from being deleted; NULL: none does.';
COMMENT ON COLUMN {{schema}}.backup.hold_reason IS 'Why it is held.';
COMMENT ON COLUMN {{schema}}.backup.requested_at IS 'When its deletion or, of one that is done, its verification was asked for; NULL: none is under way, or it was given up.';
COMMENT ON COLUMN {{schema}}.backup.exclusive IS 'Whether it was asked for with ifActive join or reject: one such backup of a user''s site is open at a time.';

COMMENT ON COLUMN {{schema}}.backup.sample IS 'The share of each object''s parts that the verification which was asked for last reads.';
COMMENT ON COLUMN {{schema}}.backup.verified_at IS 'When a verification last found nothing wrong.';
COMMENT ON COLUMN {{schema}}.backup.corrupt_at IS 'When a verification last found it damaged; NULL: none did, or a later one that read everything found nothing wrong.';
COMMENT ON COLUMN {{schema}}.backup.verification IS 'What the last verification found.';

CREATE UNIQUE INDEX backup_exclusive ON {{schema}}.backup (user_id, site_id) WHERE exclusive AND state IN ('pending', 'running', 'sealing');

-- what the reconciler compares with River's jobs, beside backup_open
CREATE INDEX backup_requested ON {{schema}}.backup (id) WHERE requested_at IS NOT NULL;

CREATE TABLE {{schema}}.backup_key (
    caller     text        NOT NULL,
    key        text        NOT NULL,
    request    bytea       NOT NULL,
    backup_id  uuid        NOT NULL REFERENCES {{schema}}.backup ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);

CREATE INDEX backup_key_backup ON {{schema}}.backup_key (backup_id);
CREATE INDEX backup_key_expires ON {{schema}}.backup_key (expires_at);

COMMENT ON TABLE {{schema}}.backup_key IS 'Idempotency keys that are their callers'' own. They are written before the backup''s row, which is why the reference is checked at the end.';
COMMENT ON COLUMN {{schema}}.backup_key.request IS 'SHA-256 of what was asked for.';
