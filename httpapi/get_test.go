package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

func TestGetFindsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for _, id := range []string{
		"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", "x", "1", "%00", "%ff", "a%2Fb", "%2e%2e", "..", "%0a", "null", "{}", "'--",
		"{019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b}", "urn:uuid:019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", strings.Repeat("9", 4000),
	} {
		requireProblem(t, b.get(t, "/backup/"+id), 404, httpapi.CodeNotFound)
	}
}

// The rows are what workers leave in the middle of their work.
func TestGetShowsTasks(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	started, err := b.client.Start(t.Context(), backup.StartParams{UserID: "u", SiteID: "s"})
	require.NoError(t, err)
	args := pgx.NamedArgs{"id": started.ID}
	b.exec(t, `UPDATE {{schema}}.backup SET state = 'running', started_at = '2026-01-02 03:04:05Z', open_tasks = 2 WHERE id = @id`, args)
	b.exec(t, `INSERT INTO {{schema}}.backup_task (id, backup_id, provider, state, started_at, upload_id, object_key, content_type,
			received_bytes, stored_bytes, stored_parts, announced_size, size, sha256, proof, capture_started_at, capture_finished_at)
		VALUES (gen_random_uuid(), @id, 'db', 'committing', '2026-01-02 03:04:06Z', gen_random_uuid(), 'k', 'application/sql',
			300, 300, 2, 300, 300, decode(repeat('ab', 32), 'hex'), 'length', '2026-01-02 03:04:06Z', '2026-01-02 03:04:07Z')`, args)
	b.exec(t, `INSERT INTO {{schema}}.backup_task (id, backup_id, provider, state, started_at, upload_id, object_key, failures,
			next_attempt_at, received_bytes, stored_bytes, stored_parts, error_class, error, error_hint, attempts)
		VALUES (gen_random_uuid(), @id, 'site', 'pending', '2026-01-02 03:04:06Z', gen_random_uuid(), 'k', 1,
			'2026-01-02 03:05:00Z', 50, 40, 1, 'retryable', 'source answered 503', 'look at it',
			'[{"n": 1, "worker": "w", "startedAt": "2026-01-02T03:04:06+00:00", "endedAt": "2026-01-02T05:04:07+02:00", "outcome": "failed",
				"error": {"class": "retryable", "message": "source answered 503"}, "fromByte": 0, "receivedBytes": 50, "storedBytes": 40}]')`, args)
	b.exec(t, `INSERT INTO {{schema}}.backup_task (id, backup_id, provider, state, started_at, upload_id, object_key, received_bytes, announced_size, rate)
		VALUES (gen_random_uuid(), @id, 'zip', 'running', '2026-01-02 03:04:06Z', gen_random_uuid(), 'k', 100, 1100, 500)`, args)

	a := b.get(t, "/backup/"+started.ID)
	require.Equal(t, http.StatusOK, a.StatusCode)
	got := decode[map[string]any](t, a)
	delete(got, "createdAt")
	require.Equal(t, map[string]any{
		"id": started.ID, "userId": "u", "siteId": "s", "status": "running", "startedAt": "2026-01-02T03:04:05Z",
		"progress": map[string]any{"tasks": 3.0, "tasksDone": 0.0, "receivedBytes": 450.0, "storedBytes": 340.0},
		"tasks": []any{
			map[string]any{
				"provider": "db", "status": "running", "attempt": 1.0, "startedAt": "2026-01-02T03:04:06Z",
				"receivedBytes": 300.0, "storedBytes": 300.0, "storedParts": 2.0, "announcedSize": 300.0, "size": 300.0,
				"sha256": strings.Repeat("ab", 32), "proof": "length", "contentType": "application/sql",
				"capturedFrom": "2026-01-02T03:04:06Z", "capturedTo": "2026-01-02T03:04:07Z", "attempts": []any{},
			},
			map[string]any{
				"provider": "site", "status": "pending", "attempt": 2.0, "startedAt": "2026-01-02T03:04:06Z",
				"nextAttemptAt": "2026-01-02T03:05:00Z", "receivedBytes": 50.0, "storedBytes": 40.0, "storedParts": 1.0,
				"error": map[string]any{"class": "retryable", "message": "source answered 503", "hint": "look at it"},
				"attempts": []any{map[string]any{
					"n": 1.0, "worker": "w", "startedAt": "2026-01-02T03:04:06Z", "endedAt": "2026-01-02T03:04:07Z", "outcome": "failed",
					"error":    map[string]any{"class": "retryable", "message": "source answered 503"},
					"fromByte": 0.0, "receivedBytes": 50.0, "storedBytes": 40.0,
				}},
			},
			map[string]any{
				"provider": "zip", "status": "running", "attempt": 1.0, "startedAt": "2026-01-02T03:04:06Z", "attempts": []any{},
				"receivedBytes": 100.0, "storedBytes": 0.0, "storedParts": 0.0, "announcedSize": 1100.0, "rate": 500.0, "etaSeconds": 2.0,
			},
		},
	}, got)
}

func TestGetShowsStates(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	started, err := b.client.Start(t.Context(), backup.StartParams{UserID: "u", SiteID: "s", Labels: map[string]string{"a": "b"}})
	require.NoError(t, err)
	show := func(set string) httpapi.Backup {
		b.exec(t, "UPDATE {{schema}}.backup SET "+set+" WHERE id = @id", pgx.NamedArgs{"id": started.ID})
		return decode[httpapi.Backup](t, b.get(t, "/backup/"+started.ID))
	}

	require.Equal(t, "running", show("state = 'sealing'").Status)
	v := show("state = 'done', finished_at = now(), manifest = 'x', manifest_key = 'u/s/manifest.json'")
	require.Equal(t, "done", v.Status)
	require.NotNil(t, v.FinishedAt)
	require.Equal(t, "u/s/manifest.json", v.ManifestKey)
	require.Equal(t, map[string]string{"a": "b"}, v.Labels)
	v = show("state = 'failed', error_class = 'permanent', error = 'source answered 404'")
	require.Equal(t, "failed", v.Status)
	require.Equal(t, &httpapi.Failure{Class: "permanent", Message: "source answered 404"}, v.Error)
	require.Equal(t, "canceled", show("state = 'canceled'").Status)
	require.Equal(t, "deleting", show("state = 'deleting'").Status)
}
