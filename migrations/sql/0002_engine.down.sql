DROP TABLE {{schema}}.backup_slot;
ALTER TABLE {{schema}}.backup_task
    DROP COLUMN claims, DROP COLUMN claimed_at, DROP COLUMN from_bytes, DROP COLUMN attempts, DROP COLUMN progress_bytes,
    DROP COLUMN progress_at, DROP COLUMN cursor, DROP COLUMN staged_at, DROP COLUMN rate;
DROP INDEX {{schema}}.backup_user_open;
ALTER TABLE {{schema}}.backup DROP COLUMN max_size;

ALTER TABLE {{schema}}.backup
    ADD CONSTRAINT backup_user_id_check CHECK (octet_length(user_id) BETWEEN 1 AND 200),
    ADD CONSTRAINT backup_site_id_check CHECK (octet_length(site_id) BETWEEN 1 AND 200),
    ADD CONSTRAINT backup_providers_check CHECK (cardinality(providers) > 0),
    ADD CONSTRAINT backup_labels_check CHECK (jsonb_typeof(labels) = 'object'),
    ADD CONSTRAINT backup_idempotency_key_check CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
    ADD CONSTRAINT backup_failed_tasks_check CHECK (failed_tasks >= 0),
    ADD CONSTRAINT backup_event_seq_check CHECK (event_seq >= 0),
    ADD CONSTRAINT backup_failures_check CHECK (failures >= 0),
    ADD CONSTRAINT backup_generation_check CHECK (generation >= 1),
    ADD CONSTRAINT backup_source CHECK ((source_job_id IS NULL) = (source_job_created_at IS NULL));

ALTER TABLE {{schema}}.backup_task
    ADD CONSTRAINT backup_task_provider_check CHECK (provider ~ '^[a-z0-9]+([_-][a-z0-9]+)*$' AND length(provider) <= 40),
    ADD CONSTRAINT backup_task_failures_check CHECK (failures >= 0),
    ADD CONSTRAINT backup_task_object_key_check CHECK (octet_length(object_key) BETWEEN 1 AND 1024),
    ADD CONSTRAINT backup_task_announced_size_check CHECK (announced_size >= 0),
    ADD CONSTRAINT backup_task_received_bytes_check CHECK (received_bytes >= 0),
    ADD CONSTRAINT backup_task_stored_bytes_check CHECK (stored_bytes >= 0),
    ADD CONSTRAINT backup_task_stored_parts_check CHECK (stored_parts BETWEEN 0 AND 50000),
    ADD CONSTRAINT backup_task_size_check CHECK (size >= 0),
    ADD CONSTRAINT backup_task_sha256_check CHECK (octet_length(sha256) = 32),
    ADD CONSTRAINT backup_task_proof_check CHECK (proof IN ('length', 'digest', 'framing', 'none'));
