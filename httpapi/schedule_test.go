package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/httpapi"
)

const nightly = `{"userId":"u","siteId":"s","cron":"30 2 * * *","timeZone":"Europe/Berlin"}`

// clock is one that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func clockAt(t testing.TB, text string) *clock {
	t.Helper()
	now, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return &clock{now: now}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (b *bundle) tick(t testing.TB) {
	t.Helper()
	_, err := b.client.Ledger().TickSchedules(t.Context(), 100)
	require.NoError(t, err)
}

// at sends a request about schedules, with headers "Name: value".
func (b *bundle) at(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	if body == "" {
		req.Body = nil
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	return send(t, req)
}

// scheduled makes a schedule through the API.
func (b *bundle) scheduled(t testing.TB, body string) (httpapi.Schedule, string) {
	t.Helper()
	a := b.at(t, http.MethodPost, "/schedule", body)
	require.Equal(t, http.StatusCreated, a.StatusCode, "%s", a.body)
	s := decode[httpapi.Schedule](t, a)
	require.Equal(t, "/schedule/"+s.ID, a.Header.Get("Location"))
	return s, a.Header.Get("ETag")
}

func (b *bundle) schedules(t testing.TB, query string) (names []string, next string) {
	t.Helper()
	a := b.get(t, "/schedule"+query)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.body)
	list := decode[httpapi.ScheduleList](t, a)
	for _, s := range list.Schedules {
		names = append(names, s.UserID+"/"+s.SiteID+"/"+s.Name)
	}
	return names, list.NextCursor
}

// What a schedule is told is what it shows, and a replacement has the defaults of all
// that it leaves out.
func TestScheduleSettings(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{now: clockAt(t, "2026-03-28T12:00:00Z").Now})
	const all = `{"userId":"u","siteId":"s","name":"n","cron":"30 2 * * *","timeZone":"Europe/Berlin","spread":"90min","catchUp":"none","overlap":"queue",` +
		`"startingDeadline":"6h","paused":true,"maxAge":"26h","providers":["site"],"labels":{"k":"v"},"continueOnFailure":true,"sizeLimit":7,` +
		`"retention":{"keepLast":7,"keepWithin":"30d","keepHourly":1,"keepDaily":2,"keepWeekly":3,"keepMonthly":4,"keepYearly":5,"atLeast":6,"keepFailed":"0s"}}`
	made := b.at(t, http.MethodPost, "/schedule", all)
	require.Equal(t, http.StatusCreated, made.StatusCode, "%s", made.body)
	s := decode[httpapi.Schedule](t, made)
	zero := "0s"
	require.Equal(t, httpapi.ScheduleSettings{
		Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Spread: "1h30min", CatchUp: "none", Overlap: "queue", StartingDeadline: "6h", Paused: true,
		MaxAge: "1d2h", Providers: []string{"site"}, Labels: map[string]string{"k": "v"}, ContinueOnFailure: true, SizeLimit: 7,
		Retention: &httpapi.RetentionPolicy{KeepLast: 7, KeepWithin: "30d", KeepHourly: 1, KeepDaily: 2, KeepWeekly: 3, KeepMonthly: 4, KeepYearly: 5, AtLeast: 6, KeepFailed: &zero},
	}, s.ScheduleSettings)
	require.Equal(t, "2026-03-29T01:00:00Z", s.NextSlot.Format(time.RFC3339), "right behind the gap")
	require.NotNil(t, s.PausedAt)
	got := b.get(t, "/schedule/"+s.ID)
	require.Equal(t, string(made.body), string(got.body))
	require.Equal(t, made.Header.Get("ETag"), got.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, b.at(t, http.MethodGet, "/schedule/"+s.ID, "", "If-None-Match: "+got.Header.Get("ETag")).StatusCode)

	put := b.at(t, http.MethodPut, "/schedule/"+s.ID, `{"cron":"@daily"}`, "If-Match: "+got.Header.Get("ETag"))
	require.Equal(t, http.StatusOK, put.StatusCode, "%s", put.body)
	now := decode[httpapi.Schedule](t, put)
	require.Equal(t, httpapi.ScheduleSettings{Cron: "@daily", TimeZone: "UTC", CatchUp: "last", Overlap: "skip"}, now.ScheduleSettings)
	require.Equal(t, []string{s.ID, "u", "s", "n"}, []string{now.ID, now.UserID, now.SiteID, now.Name})
	require.Equal(t, string(put.body), string(b.get(t, "/schedule/"+s.ID).body))
	require.Equal(t, http.StatusOK, b.at(t, http.MethodGet, "/schedule/"+s.ID, "", "If-None-Match: "+got.Header.Get("ETag")).StatusCode)
}

// A schedule's life by HTTP, but for the clock.
func TestScheduleSlots(t *testing.T) {
	t.Parallel()
	c := clockAt(t, "2026-03-26T12:00:00Z")
	b := setup(t, settings{now: c.Now})
	s, tag := b.scheduled(t, nightly)
	path := "/schedule/" + s.ID
	next := decode[httpapi.UpcomingSlots](t, b.get(t, path+"/next?count=4"))
	var texts []string
	for _, slot := range next.Slots {
		require.Equal(t, slot.Slot, slot.RunAt, "it has no spread")
		texts = append(texts, slot.Slot.Format(time.RFC3339))
	}
	require.Equal(t, []string{"2026-03-27T01:30:00Z", "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}, texts)
	require.Len(t, decode[httpapi.UpcomingSlots](t, b.get(t, path+"/next")).Slots, 10)

	for i, slot := range next.Slots {
		c.set(slot.RunAt.Add(time.Second))
		if i == 2 {
			require.Equal(t, http.StatusOK, b.at(t, http.MethodPost, path+"/pause", "").StatusCode)
			require.Equal(t, http.StatusOK, b.at(t, http.MethodPost, path+"/pause", "").StatusCode, "twice is no error")
		}
		b.tick(t)
		if i == 2 {
			a := b.at(t, http.MethodPost, path+"/resume", "")
			require.Equal(t, http.StatusOK, a.StatusCode)
			require.Nil(t, decode[httpapi.Schedule](t, a).PausedAt)
			require.Equal(t, a.Header.Get("ETag"), b.get(t, path).Header.Get("ETag"))
		}
	}
	all := decode[httpapi.ScheduleSlotList](t, b.get(t, path+"/slot"))
	require.Len(t, all.Slots, 4)
	require.Empty(t, all.NextCursor)
	var became []string
	for _, slot := range all.Slots {
		became = append(became, slot.Status+" "+slot.Reason)
	}
	require.Equal(t, []string{"skipped overlap", "skipped paused", "skipped overlap", "started "}, became)
	first := all.Slots[3]
	require.Equal(t, 1, first.Slots)
	require.True(t, first.Slot.Equal(next.Slots[0].Slot))

	// Page by page they are the same.
	var paged []httpapi.ScheduleSlot
	for at := path + "/slot?limit=3"; at != ""; {
		a := b.get(t, at)
		list := decode[httpapi.ScheduleSlotList](t, a)
		paged, at = append(paged, list.Slots...), ""
		if list.NextCursor != "" {
			require.Contains(t, a.Header.Get("Link"), url.QueryEscape(list.NextCursor))
			at = path + "/slot?limit=3&cursor=" + url.QueryEscape(list.NextCursor)
		}
	}
	require.Equal(t, all.Slots, paged)

	// The backup tells of its schedule, and so does one that is started out of turn.
	started := decode[httpapi.Backup](t, b.get(t, "/backup/"+first.BackupID))
	require.Equal(t, s.ID, started.ScheduleID)
	require.True(t, started.Slot.Equal(first.Slot))
	run := b.at(t, http.MethodPost, path+"/run", "", `Idempotency-Key: "k"`)
	require.Equal(t, http.StatusAccepted, run.StatusCode, "%s", run.body)
	out := decode[httpapi.Backup](t, run)
	require.Equal(t, s.ID, out.ScheduleID)
	require.Nil(t, out.Slot)
	require.Equal(t, "/backup/"+out.ID, run.Header.Get("Location"))
	require.Equal(t, out.ID, decode[httpapi.Backup](t, b.at(t, http.MethodPost, path+"/run", "", `Idempotency-Key: "k"`)).ID)
	requireProblem(t, b.postKey(t, start, `"k"`), 422, httpapi.CodeKeyReused)
	require.NotEqual(t, out.ID, decode[httpapi.Backup](t, b.at(t, http.MethodPost, path+"/run", "")).ID)
	b.started(t, start)
	require.Len(t, b.list(t, "?scheduleId="+s.ID).Backups, 3)
	require.Empty(t, b.list(t, "?scheduleId="+unused).Backups)
	require.Len(t, b.list(t, "").Backups, 4)

	// Ticks and pauses have changed it; to delete it wants the present version.
	requireProblem(t, b.at(t, http.MethodDelete, path, "", "If-Match: "+tag), 412, httpapi.CodePrecondition)
	a := b.at(t, http.MethodDelete, path, "", "If-Match: "+b.get(t, path).Header.Get("ETag"))
	require.Equal(t, http.StatusNoContent, a.StatusCode)
	require.Empty(t, a.body)
	for _, gone := range []answer{b.get(t, path), b.get(t, path+"/slot"), b.get(t, path+"/next"), b.at(t, http.MethodPost, path+"/run", ""), b.at(t, http.MethodDelete, path, "")} {
		p := requireProblem(t, gone, 404, httpapi.CodeNotFound)
		require.Equal(t, "There is no such schedule.", p.Detail)
	}
	require.Equal(t, s.ID, decode[httpapi.Backup](t, b.get(t, "/backup/"+first.BackupID)).ScheduleID, "its backups stay")
}

// A tick between an answer and a change isn't a reason to refuse the change; another
// change is. Of many with one tag, one wins.
func TestScheduleIfMatch(t *testing.T) {
	t.Parallel()
	c := clockAt(t, "2026-03-26T12:00:00Z")
	b := setup(t, settings{now: c.Now})
	s, tag := b.scheduled(t, nightly)
	path := "/schedule/" + s.ID
	c.set(*s.NextRunAt)
	b.tick(t)
	require.NotEqual(t, tag, b.get(t, path).Header.Get("ETag"))
	const all = 8
	answers := make([]answer, all)
	var running sync.WaitGroup
	for i := range answers {
		running.Go(func() {
			answers[i] = b.at(t, http.MethodPut, path, `{"cron":"`+string(rune('0'+i))+` 4 * * *"}`, "If-Match: "+tag)
		})
	}
	running.Wait()
	var won []string
	for _, a := range answers {
		if a.StatusCode == http.StatusOK {
			won = append(won, decode[httpapi.Schedule](t, a).Cron)
			tag = a.Header.Get("ETag")
			continue
		}
		requireProblem(t, a, 412, httpapi.CodePrecondition)
	}
	require.Len(t, won, 1)
	got := b.get(t, path)
	require.Equal(t, won[0], decode[httpapi.Schedule](t, got).Cron)
	require.Equal(t, tag, got.Header.Get("ETag"))

	for _, bad := range []string{"x", `"x"`, "W/" + tag, strings.Trim(tag, `"`), `"2"`, `"3.x"`, `""`, "", ",", `"2x.y"`} {
		requireProblem(t, b.at(t, http.MethodPut, path, `{"cron":"@daily"}`, "If-Match: "+bad), 412, httpapi.CodePrecondition)
		requireProblem(t, b.at(t, http.MethodDelete, path, "", "If-Match: "+bad), 412, httpapi.CodePrecondition)
	}
	for _, good := range []string{`"x", ` + b.get(t, path).Header.Get("ETag"), "*"} {
		require.Equal(t, http.StatusOK, b.at(t, http.MethodPut, path, `{"cron":"@daily"}`, "If-Match: "+good).StatusCode, good)
	}
	require.Equal(t, http.StatusOK, b.at(t, http.MethodPut, path, `{"cron":"@daily"}`, `If-Match: "x"`, "If-Match: "+b.get(t, path).Header.Get("ETag")).StatusCode, "in two lines")
}

func TestScheduleExists(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	s, _ := b.scheduled(t, nightly)
	p := requireProblem(t, b.at(t, http.MethodPost, "/schedule", `{"userId":"u","siteId":"s","name":"default","cron":"@hourly"}`), 409, httpapi.CodeScheduleExists)
	require.Equal(t, s.ID, p.ScheduleID)
	require.Equal(t, s.Cron, decode[httpapi.Schedule](t, b.get(t, "/schedule/"+s.ID)).Cron)
	b.scheduled(t, strings.Replace(nightly, `"s"`, `"s","name":"other"`, 1))

	d, err := b.client.PutSchedule(t.Context(), backup.ScheduleParams{UserID: "u", SiteID: "s", Name: "declared", Cron: "@daily", Declared: true})
	require.NoError(t, err)
	path := "/schedule/" + d.ID
	requireProblem(t, b.at(t, http.MethodPut, path, `{"cron":"@hourly"}`), 409, httpapi.CodeScheduleDeclared)
	requireProblem(t, b.at(t, http.MethodDelete, path, ""), 409, httpapi.CodeScheduleDeclared)
	require.Equal(t, http.StatusOK, b.at(t, http.MethodPost, path+"/pause", "").StatusCode)
	require.Equal(t, http.StatusAccepted, b.at(t, http.MethodPost, path+"/run", "").StatusCode)
	require.True(t, decode[httpapi.Schedule](t, b.get(t, path)).Declared)
}
