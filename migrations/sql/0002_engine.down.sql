DROP TABLE {{schema}}.backup_slot;
ALTER TABLE {{schema}}.backup_task
    DROP COLUMN claims, DROP COLUMN claimed_at, DROP COLUMN from_bytes, DROP COLUMN attempts, DROP COLUMN progress_bytes,
    DROP COLUMN progress_at, DROP COLUMN cursor, DROP COLUMN staged_at, DROP COLUMN rate;
DROP INDEX {{schema}}.backup_user_open;
ALTER TABLE {{schema}}.backup DROP CONSTRAINT backup_label_texts, DROP COLUMN max_size;
