package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

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
	_, err = api.Open(c.GetManifest(ctx, id, nil))
	refused(t, err, 409, api.ProblemCodeStateConflict)
	close(hold)
	_, err = api.Read[api.Backup](c.RetryBackup(ctx, id))
	require.NoError(t, err)
	status(api.BackupStatusDone)

	two := 2
	list, err := api.Read[api.BackupList](c.ListBackups(ctx, &api.ListBackupsParams{Limit: &two, Status: []api.ListBackupsParamsStatus{"done", "failed"}}))
	require.NoError(t, err)
	require.Len(t, list.Backups, 1)
	manifest, err := api.Read[map[string]any](c.GetManifest(ctx, id, nil))
	require.NoError(t, err)
	require.Equal(t, id, (*manifest)["backupId"])
	res, err := api.Open(c.GetTaskContent(ctx, id, "site", &api.GetTaskContentParams{Range: new("bytes=10-")}))
	require.NoError(t, err)
	require.Equal(t, http.StatusPartialContent, res.StatusCode)
	data, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.True(t, bytes.Equal(es["site"].data[10:], data))
	res, err = api.Open(c.HeadTaskContent(ctx, id, "site", nil))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, int64(300_000), res.ContentLength)
	etag := res.Header.Get("Etag")
	_, err = api.Open(c.GetTaskContent(ctx, id, "site", &api.GetTaskContentParams{IfNoneMatch: &etag}))
	require.Equal(t, int64(http.StatusNotModified), refusal(t, err).Status)
	_, err = api.Open(c.GetTaskContent(ctx, id, "site", &api.GetTaskContentParams{IfMatch: new(`"x"`)}))
	refused(t, err, 412, api.ProblemCodePreconditionFailed)
	res, err = api.Open(c.GetTaskContent(ctx, id, "site", &api.GetTaskContentParams{Range: new("bytes=10-"), IfRange: new(`"x"`)}))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode, "another one is sent whole")
	_, err = api.Open(c.HeadTaskContent(ctx, id, "site", &api.HeadTaskContentParams{Range: new("bytes=300000-")}))
	require.Equal(t, int64(http.StatusRequestedRangeNotSatisfiable), refusal(t, err).Status)
	res, err = api.Open(c.GetManifest(ctx, id, &api.GetManifestParams{Range: new("bytes=0-0")}))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, int64(1), res.ContentLength)

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

// TestContractFollows waits for changes and follows events by the generated client
// alone, while the backup goes on.
func TestContractFollows(t *testing.T) {
	t.Parallel()
	es, ctx, hold := exports(), t.Context(), make(chan struct{})
	es["site"].pause(hold)
	b := setup(t, settings{store: memblob.New(), exports: es, watch: true})
	c, err := api.NewClient(b.url, api.WithHTTPClient(&http.Client{Transport: declared{http.DefaultTransport}}))
	require.NoError(t, err)
	live, err := api.NewClient(b.url) // whose transport doesn't read answers to their end
	require.NoError(t, err)
	started, err := api.Read[api.Backup](c.StartBackup(ctx, nil, api.StartRequest{UserID: "u", SiteID: "s"}))
	require.NoError(t, err)
	id := started.ID.String()

	res, err := api.Open(live.StreamBackupEvents(ctx, id, nil))
	require.NoError(t, err)
	s := &sse{res: res, lines: bufio.NewReader(res.Body)}
	first := s.read(t, 1)
	require.Equal(t, []string{"1 UploadJobCreated"}, names(first), "it comes before the export goes on")

	// A wait ends with the change, whose answer has the tag for the next; the export
	// goes on only when one waits.
	etag, status, polls := "", "", 0
	wait, opened := "20s", false
	for status != "done" {
		if polls++; polls > 1 && !opened && status == "running" {
			opened = true
			close(hold)
		}
		began := time.Now()
		res, err := api.Open(c.GetBackup(ctx, id, &api.GetBackupParams{IfNoneMatch: &etag, Wait: &wait}))
		require.NoError(t, err)
		require.Less(t, time.Since(began), 15*time.Second, "a change ends the wait")
		require.NotEqual(t, etag, res.Header.Get("ETag"))
		etag = res.Header.Get("ETag")
		v, err := api.Read[api.Backup](res, nil)
		require.NoError(t, err)
		status = string(v.Status)
	}
	require.Greater(t, polls, 1)
	wait = "200ms"
	_, err = api.Open(c.GetBackup(ctx, id, &api.GetBackupParams{IfNoneMatch: &etag, Wait: &wait}))
	var same *api.Error
	require.ErrorAs(t, err, &same)
	require.Equal(t, int64(http.StatusNotModified), same.Status)
	wait = "1h"
	_, err = api.Open(c.GetBackup(ctx, id, &api.GetBackupParams{Wait: &wait}))
	refused(t, err, 422, api.ProblemCodeValidationFailed)

	all := slices.Concat(first, s.rest(t))
	require.NoError(t, res.Body.Close())
	last := all[len(all)-1]
	require.Equal(t, "end", last.event)
	require.Equal(t, "done", last.state(t))
	for i, m := range all[:len(all)-1] {
		require.Equal(t, int64(i+1), m.id, "in order, without gaps")
	}
	after := "3"
	for _, params := range []api.StreamBackupEventsParams{{LastEventID: &after}, {LastEventIDQuery: &after}} {
		res, err := api.Open(c.StreamBackupEvents(ctx, id, &params))
		require.NoError(t, err)
		require.Equal(t, names(all[3:]), names((&sse{lines: bufio.NewReader(res.Body)}).rest(t)))
		require.NoError(t, res.Body.Close())
	}
	after = strconv.Itoa(len(all) - 1)
	res, err = api.Open(c.StreamBackupEvents(ctx, id, &api.StreamBackupEventsParams{LastEventID: &after}))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusNoContent, res.StatusCode)
}

func refused(t testing.TB, err error, status int64, code api.ProblemCode) {
	t.Helper()
	e := refusal(t, err)
	require.Equal(t, status, e.Status)
	require.Equal(t, code, e.Code)
}

func refusal(t testing.TB, err error) (e *api.Error) {
	t.Helper()
	require.ErrorAs(t, err, &e)
	return e
}
