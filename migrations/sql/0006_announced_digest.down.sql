ALTER TABLE {{schema}}.backup_task DROP COLUMN announced_sha256;
