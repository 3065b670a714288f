package httpapi_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	c := b.contract(t, secrets["n"])
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
	_, err = api.Open(c.GetTaskContent(ctx, id, "site", &api.GetTaskContentParams{Range: new("bytes=300000-")}))
	refused(t, err, 416, api.ProblemCodeRangeNotSatisfiable)
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
	c := b.contract(t, "")
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
	stream := allOperations(t)["streamBackupEvents"]
	for _, m := range all {
		require.NoError(t, stream.judgeEvents(stream.Responses["200"].Content["text/event-stream"].Schema, fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n", m.id, m.event, m.data)))
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

// TestContractSchedules goes through a schedule's life, the retention plan of what it
// has started, and the erasure of both by the generated client alone.
func TestContractSchedules(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "n", Scopes: readWrite | httpapi.ScopeAdmin, Users: []string{"u"}})
	clock, ctx := &clock{now: time.Now().Add(-24 * time.Hour)}, t.Context() // one slot of a day has passed
	b := setup(t, settings{store: memblob.New(), exports: exports(), options: options, now: clock.Now})
	c := b.contract(t, secrets["n"])

	// It is created once, and changed by whoever knows how it is.
	zone, one := "Europe/Berlin", int64(1)
	request := api.ScheduleRequest{UserID: "u", SiteID: "s", Cron: "30 12 * * *", TimeZone: &zone, Retention: &api.RetentionPolicy{KeepLast: &one}}
	res, err := api.Open(c.CreateSchedule(ctx, request))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, res.StatusCode)
	made, err := api.Read[api.Schedule](res, nil)
	require.NoError(t, err)
	id, etag := made.ID.String(), res.Header.Get("ETag")
	require.Equal(t, "/schedule/"+id, res.Header.Get("Location"))
	_, err = api.Open(c.CreateSchedule(ctx, request))
	refused(t, err, 409, api.ProblemCodeScheduleExists)
	require.Equal(t, made.ID, *refusal(t, err).ScheduleID)
	request.UserID = "other"
	_, err = api.Open(c.CreateSchedule(ctx, request))
	refused(t, err, 403, api.ProblemCodeForbidden)
	_, err = api.Open(c.GetSchedule(ctx, id, &api.GetScheduleParams{IfNoneMatch: &etag}))
	require.Equal(t, int64(http.StatusNotModified), refusal(t, err).Status)
	age := "26h"
	settings := api.ScheduleSettings{Cron: made.Cron, TimeZone: &zone, MaxAge: &age, Retention: request.Retention}
	replaced, err := api.Read[api.Schedule](c.ReplaceSchedule(ctx, id, &api.ReplaceScheduleParams{IfMatch: &etag}, settings))
	require.NoError(t, err)
	require.Equal(t, "1d2h", *replaced.MaxAge)
	_, err = api.Open(c.ReplaceSchedule(ctx, id, &api.ReplaceScheduleParams{IfMatch: &etag}, settings))
	refused(t, err, 412, api.ProblemCodePreconditionFailed)
	_, err = api.Open(c.ReplaceSchedule(ctx, id, nil, api.ScheduleSettings{Cron: "61 * * * *"}))
	refused(t, err, 422, api.ProblemCodeValidationFailed)

	// Another one goes, unless it has changed.
	res, err = api.Open(c.CreateSchedule(ctx, api.ScheduleRequest{UserID: "u", SiteID: "t", Cron: "@daily"}))
	require.NoError(t, err)
	second, err := api.Read[api.Schedule](res, nil)
	require.NoError(t, err)
	limit := 1
	page, err := api.Read[api.ScheduleList](c.ListSchedules(ctx, &api.ListSchedulesParams{Limit: &limit}))
	require.NoError(t, err)
	require.Equal(t, made.ID, page.Schedules[0].ID)
	page, err = api.Read[api.ScheduleList](c.ListSchedules(ctx, &api.ListSchedulesParams{Limit: &limit, Cursor: page.NextCursor}))
	require.NoError(t, err)
	require.Equal(t, second.ID, page.Schedules[0].ID)
	_, err = api.Open(c.DeleteSchedule(ctx, second.ID.String(), &api.DeleteScheduleParams{IfMatch: new(`"x"`)}))
	refused(t, err, 412, api.ProblemCodePreconditionFailed)
	gone, err := api.Open(c.DeleteSchedule(ctx, second.ID.String(), &api.DeleteScheduleParams{IfMatch: new(res.Header.Get("ETag"))}))
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, gone.StatusCode)
	_, err = api.Open(c.GetSchedule(ctx, second.ID.String(), nil))
	refused(t, err, 404, api.ProblemCodeNotFound)

	// The slot that comes next is started; another backup is, out of turn.
	next, err := api.Read[api.UpcomingSlots](c.ListNextSlots(ctx, id, &api.ListNextSlotsParams{Count: new(2)}))
	require.NoError(t, err)
	require.Len(t, next.Slots, 2)
	berlin, err := time.LoadLocation(zone)
	require.NoError(t, err)
	require.Equal(t, "12:30", next.Slots[0].Slot.In(berlin).Format("15:04"))
	clock.set(next.Slots[0].RunAt)
	b.tick(t)
	slots, err := api.Read[api.ScheduleSlotList](c.ListScheduleSlots(ctx, id, &api.ListScheduleSlotsParams{Limit: &limit}))
	require.NoError(t, err)
	require.Equal(t, api.ScheduleSlotStatusStarted, slots.Slots[0].Status)
	slots, err = api.Read[api.ScheduleSlotList](c.ListScheduleSlots(ctx, id, &api.ListScheduleSlotsParams{Cursor: slots.NextCursor}))
	require.NoError(t, err)
	require.Empty(t, slots.Slots, "behind the last one")
	paused, err := api.Read[api.Schedule](c.PauseSchedule(ctx, id))
	require.NoError(t, err)
	require.True(t, *paused.Paused)
	run, err := api.Read[api.Backup](c.RunSchedule(ctx, id, &api.RunScheduleParams{IdempotencyKey: new("k")}))
	require.NoError(t, err)
	again, err := api.Read[api.Backup](c.RunSchedule(ctx, id, &api.RunScheduleParams{IdempotencyKey: new("k")}))
	require.NoError(t, err)
	require.Equal(t, run.ID, again.ID)
	_, err = api.Open(c.StartBackup(ctx, &api.StartBackupParams{IdempotencyKey: new("k")}, api.StartRequest{UserID: "u", SiteID: "s"}))
	refused(t, err, 422, api.ProblemCodeIdempotencyKeyReused)
	eventually(t, func() bool {
		done, err := api.Read[api.BackupList](c.ListBackups(ctx, &api.ListBackupsParams{ScheduleID: &id, Status: []api.ListBackupsParamsStatus{"done"}}))
		require.NoError(t, err)
		return len(done.Backups) == 2
	})

	clock.set(time.Now())
	plan, err := api.Read[api.RetentionPlan](c.PlanRetention(ctx, &api.PlanRetentionParams{UserID: new("u"), Limit: &limit}))
	require.NoError(t, err)
	require.Equal(t, run.ID, plan.Decisions[0].BackupID)
	require.True(t, plan.Decisions[0].Keep)
	require.Equal(t, []string{"last", "newest-good:db", "newest-good:site"}, plan.Decisions[0].Reasons)
	plan, err = api.Read[api.RetentionPlan](c.PlanRetention(ctx, &api.PlanRetentionParams{Removed: new(true), Cursor: plan.NextCursor}))
	require.NoError(t, err)
	require.Len(t, plan.Decisions, 1)
	require.False(t, plan.Decisions[0].Keep)
	require.Equal(t, made.ID, *plan.Decisions[0].ScheduleID)
	resumed, err := api.Read[api.Schedule](c.ResumeSchedule(ctx, id))
	require.NoError(t, err)
	require.Nil(t, resumed.Paused)

	// What a hold keeps stays; then all goes but a receipt.
	_, err = api.Open(c.HoldBackup(ctx, run.ID.String(), api.HoldRequest{}))
	require.NoError(t, err)
	_, err = api.Open(c.EraseUser(ctx, "u"))
	refused(t, err, 409, api.ProblemCodeHeld)
	require.Equal(t, run.ID, *refusal(t, err).BackupID)
	_, err = api.Open(c.ReleaseBackup(ctx, run.ID.String()))
	require.NoError(t, err)
	_, err = api.Open(c.EraseSite(ctx, "other", "s"))
	refused(t, err, 403, api.ProblemCodeForbidden)
	res, err = api.Open(c.EraseSite(ctx, "u", "s"))
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	erasure, err := api.Read[api.Erasure](res, nil)
	require.NoError(t, err)
	require.Equal(t, "/erasure/"+erasure.ID.String(), res.Header.Get("Location"))
	eventually(t, func() bool {
		erasure, err = api.Read[api.Erasure](c.GetErasure(ctx, erasure.ID.String()))
		require.NoError(t, err)
		return erasure.Status == api.ErasureStatusDone
	})
	require.Equal(t, []int64{2, 1, 6}, []int64{erasure.Backups, erasure.Schedules, erasure.Objects})
	require.Nil(t, erasure.UserID)
	_, err = api.Open(c.GetSchedule(ctx, id, nil))
	refused(t, err, 404, api.ProblemCodeNotFound)
	_, err = api.Open(c.EraseUser(ctx, "u"))
	require.NoError(t, err)
	_, err = api.Open(c.GetErasure(ctx, "x"))
	refused(t, err, 404, api.ProblemCodeNotFound)
}

// contract is the generated client, whose answers have to be as the description says.
func (b *bundle) contract(t testing.TB, token string) *api.Client {
	t.Helper()
	c, err := api.NewClient(b.url, api.WithHTTPClient(&http.Client{Transport: declared{http.DefaultTransport}}),
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
	require.NoError(t, err)
	return c
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
