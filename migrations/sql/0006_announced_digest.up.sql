-- The digest that a source announced before its first byte, for attempts that go
-- on behind an earlier one. It only adds: the release before this one runs beside it.

ALTER TABLE {{schema}}.backup_task
    ADD COLUMN announced_sha256 bytea CHECK (octet_length(announced_sha256) = 32);

COMMENT ON COLUMN {{schema}}.backup_task.announced_sha256 IS 'SHA-256 of the whole export, as announced under the validator; NULL: the source said none.';
