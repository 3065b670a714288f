DROP TABLE {{schema}}.backup_event;
DROP TABLE {{schema}}.backup_part;
DROP TABLE {{schema}}.backup_task;
DROP TABLE {{schema}}.backup;
