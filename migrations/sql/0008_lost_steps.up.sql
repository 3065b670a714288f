-- How many workers a step of a backup may have killed. It only adds: the release before
-- this one runs beside it, and leaves the count as it is.

ALTER TABLE {{schema}}.backup ADD COLUMN lost integer NOT NULL DEFAULT 0;

COMMENT ON COLUMN {{schema}}.backup.lost IS 'How many workers died one after another at the present step, before the one that claimed it last.';
