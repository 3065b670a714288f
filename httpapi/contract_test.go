package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
	api "github.com/sitebackup/sitebackup/httpapi/client"
	"github.com/sitebackup/sitebackup/internal/memblob"
)

// The description that the client is made of is the server's.
func TestDescriptionIsCommitted(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile("client/openapi.json")
	require.NoError(t, err)
	var want, got map[string]any
	require.NoError(t, json.Unmarshal(committed, &want))
	b := setup(t, settings{})
	require.NoError(t, json.Unmarshal(b.get(t, "/openapi.json").body, &got))
	want["info"].(map[string]any)["version"] = "1.2.3"
	require.True(t, reflect.DeepEqual(want, got), "run make generate")
}

// TestContract goes through a backup's life by the generated client alone.
func TestContract(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "n", Scopes: readWrite | httpapi.ScopeAdmin, Users: []string{"u"}})
	es, ctx := exports(), t.Context()
	b := setup(t, settings{store: memblob.New(), exports: es, options: options})
	c, err := api.NewClient(b.url, api.WithHTTPClient(&http.Client{Transport: declared{http.DefaultTransport}}),
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+secrets["n"])
			return nil
		}))
	require.NoError(t, err)
	hold := make(chan struct{})
	es["site"].pause(hold)

	providers, err := api.Read[api.ProviderList](c.ListProviders(ctx))
	require.NoError(t, err)
	require.Len(t, providers.Providers, 2)
	key, join := `"k"`, api.StartRequestIfActiveJoin
	request := api.StartRequest{UserID: "u", SiteID: "s", IfActive: &join}
	started, err := api.Read[api.Backup](c.StartBackup(ctx, &api.StartBackupParams{IdempotencyKey: &key}, request))
	require.NoError(t, err)
	joined, err := api.Read[api.Backup](c.StartBackup(ctx, nil, request))
	require.NoError(t, err)
	require.Equal(t, started.ID, joined.ID)
	id := started.ID.String()
	await := func(fn func(*api.Backup) bool) (v *api.Backup) {
		eventually(t, func() bool {
			v, err = api.Read[api.Backup](c.GetBackup(ctx, id, nil))
			require.NoError(t, err)
			return fn(v)
		})
		return v
	}
	status := func(want api.BackupStatus) *api.Backup {
		return await(func(v *api.Backup) bool { return v.Status == want })
	}
	_, err = api.Read[api.Backup](c.CancelBackup(ctx, id))
	require.NoError(t, err)
	status(api.BackupStatusCanceled)
	_, err = api.Open(c.GetManifest(ctx, id))
	refused(t, err, 409, api.ProblemCodeStateConflict)
	close(hold)
	_, err = api.Read[api.Backup](c.RetryBackup(ctx, id))
	require.NoError(t, err)
	status(api.BackupStatusDone)

	two := 2
	list, err := api.Read[api.BackupList](c.ListBackups(ctx, &api.ListBackupsParams{Limit: &two, Status: []api.ListBackupsParamsStatus{"done", "failed"}}))
	require.NoError(t, err)
	require.Len(t, list.Backups, 1)
	manifest, err := api.Read[map[string]any](c.GetManifest(ctx, id))
	require.NoError(t, err)
	require.Equal(t, id, (*manifest)["backupId"])
	res, err := api.Open(c.GetTaskContent(ctx, id, "site", nil, func(_ context.Context, r *http.Request) error {
		r.Header.Set("Range", "bytes=10-")
		return nil
	}))
	require.NoError(t, err)
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.True(t, bytes.Equal(es["site"].data[10:], data))
	res, err = api.Open(c.HeadTaskContent(ctx, id, "site", nil))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, int64(300_000), res.ContentLength)

	_, err = api.Read[api.Backup](c.VerifyBackup(ctx, id, api.VerifyRequest{}))
	require.NoError(t, err)
	v := await(func(v *api.Backup) bool { return v.Verification != nil })
	require.NotNil(t, v.VerifiedAt)
	reason := "case 4711"
	_, err = api.Read[api.Backup](c.HoldBackup(ctx, id, api.HoldRequest{Reason: &reason}))
	require.NoError(t, err)
	_, err = api.Read[api.Backup](c.DeleteBackup(ctx, id))
	refused(t, err, 409, api.ProblemCodeHeld)
	_, err = api.Read[api.Backup](c.ReleaseBackup(ctx, id))
	require.NoError(t, err)
	_, err = api.Read[api.Backup](c.DeleteBackup(ctx, id))
	require.NoError(t, err)
	eventually(t, func() bool {
		_, err = api.Read[api.Backup](c.GetBackup(ctx, id, nil))
		return err != nil
	})
	refused(t, err, 404, api.ProblemCodeNotFound)
	_, err = api.Read[api.Backup](c.StartBackup(ctx, nil, api.StartRequest{UserID: "other", SiteID: "s"}))
	refused(t, err, 403, api.ProblemCodeForbidden)
	_, err = api.Read[api.Backup](c.StartBackup(ctx, nil, api.StartRequest{UserID: "u"}))
	refused(t, err, 422, api.ProblemCodeValidationFailed)
	require.EqualError(t, err, "422 Unprocessable Entity: The request has fields that break a rule. body.siteId must not be empty.")
}

func refused(t testing.TB, err error, status int64, code api.ProblemCode) {
	t.Helper()
	var e *api.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, status, e.Status)
	require.Equal(t, code, e.Code)
}
