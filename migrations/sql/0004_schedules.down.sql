DROP TABLE {{schema}}.backup_tombstone;
DROP TABLE {{schema}}.backup_erasure;
DROP INDEX {{schema}}.backup_unpruned;
DROP INDEX {{schema}}.backup_schedule_open;
DROP INDEX {{schema}}.backup_good;
DROP INDEX {{schema}}.backup_schedule_good;
DROP INDEX {{schema}}.backup_of_schedule;
DROP INDEX {{schema}}.backup_slot_once;
ALTER TABLE {{schema}}.backup DROP COLUMN schedule_id, DROP COLUMN slot, DROP COLUMN late_event_at, DROP COLUMN pruned_at,
    DROP COLUMN removed_objects, DROP COLUMN removed_bytes;
DROP TABLE {{schema}}.backup_schedule_event;
DROP TABLE {{schema}}.backup_schedule_run;
DROP TABLE {{schema}}.backup_schedule;
