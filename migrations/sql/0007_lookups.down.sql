DROP INDEX {{schema}}.backup_schedule_set_aside;
DROP INDEX {{schema}}.backup_schedule_gone_retention;
