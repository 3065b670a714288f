DROP INDEX {{schema}}.backup_schedule_ahead;
DROP INDEX {{schema}}.backup_given_up;
ALTER TABLE {{schema}}.backup_schedule DROP COLUMN set_aside_until, DROP COLUMN spread_at;
DROP TABLE {{schema}}.backup_forgotten;
DROP TABLE {{schema}}.backup_schedule_gone;
