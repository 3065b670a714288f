package httpapi

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

const defaultNext = 10

type nextSlotsInput struct {
	ID    string `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	count int
	err   error
}

// Resolve reads the request's query.
func (in *nextSlotsInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	if in.count = q.number("count", 1, backup.MaxNextRuns); in.count == 0 {
		in.count = defaultNext
	}
	in.err = q.err()
	return nil
}

// UpcomingSlots are the next slots of a schedule.
type UpcomingSlots struct {
	Slots []UpcomingSlot `json:"slots" nullable:"false" doc:"The next slots, the earliest first. There are fewer than requested if the schedule has no more."`
}

type nextSlotsOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         UpcomingSlots
}

type slotsInput struct {
	ID     string `path:"id" doc:"The schedule's id." example:"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b"`
	values url.Values
	before time.Time
	limit  int
	err    error
}

// Resolve reads the request's query.
func (in *slotsInput) Resolve(ctx huma.Context) []error {
	q := readQuery(ctx)
	in.values, in.before, in.limit = q.values, q.slotCursor("cursor"), q.limit()
	in.err = q.err()
	return nil
}

// limit is that of a list.
func (q *query) limit() int {
	if n := q.number("limit", 1, maxLimit); n != 0 {
		return n
	}
	return defaultLimit
}

// slotCursor is the slot that a page ended with.
func (q *query) slotCursor(name string) time.Time {
	value := q.one(name)
	if value == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, value)
	if year := t.UTC().Year(); err != nil || year < 1 || year > 9999 || t.IsZero() {
		q.fail(name, "must be a cursor that this list has given")
	}
	return t
}

// ScheduleSlotList is a page of what became of a schedule's slots.
type ScheduleSlotList struct {
	Slots      []ScheduleSlot `json:"slots" nullable:"false" doc:"What became of the slots, the latest first."`
	NextCursor string         `json:"nextCursor,omitempty" doc:"The cursor of the next page. It is left out on the last page." example:"2026-01-02T03:04:05Z"`
}

func (a *api) registerScheduleSlots(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "listNextSlots", Method: http.MethodGet, Path: "/schedule/{id}/next", Tags: []string{scheduleTag},
		Summary:     "Show the next slots of a schedule",
		Description: "They follow from its cron expression, time zone and spread. The slots of a paused schedule are listed, too, although they will be skipped.",
		Parameters:  []*huma.Param{param("count", "How many slots to list.", between(1, backup.MaxNextRuns, defaultNext), 5)},
	}, CodeNotFound, CodeValidationFailed), a.nextSlots)
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "listScheduleSlots", Method: http.MethodGet, Path: "/schedule/{id}/slot", Tags: []string{scheduleTag},
		Summary: "Show what became of the slots of a schedule",
		Description: "Each entry says which backup was started for the slot, that the slot waits, or why it was skipped. Consecutive slots that were skipped for the same reason share an entry. " +
			"Backups that were started out of turn aren't listed here: GET /backup with scheduleId lists all backups of the schedule.",
		Parameters: []*huma.Param{limitParam(), cursorParam("2026-01-02T03:04:05Z")},
	}, CodeNotFound, CodeValidationFailed), a.slots)
}

func (a *api) nextSlots(ctx context.Context, in *nextSlotsInput) (*nextSlotsOutput, error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s, err := a.findSchedule(ctx, in.ID)
	if err != nil {
		return nil, a.problemOf(ctx, err)
	}
	next, err := s.NextRuns(in.count)
	if err != nil {
		a.log.ErrorContext(ctx, "a schedule can't be read", "schedule", s.ID, "error", err, "requestId", RequestID(ctx))
		return nil, a.problemOf(ctx, internalProblem())
	}
	out := &nextSlotsOutput{CacheControl: "no-store", Body: UpcomingSlots{Slots: make([]UpcomingSlot, len(next))}}
	for i, slot := range next {
		out.Body.Slots[i] = UpcomingSlot{Slot: slot.At.UTC(), RunAt: slot.RunAt.UTC()}
	}
	return out, nil
}

func (a *api) slots(ctx context.Context, in *slotsInput) (*pageOutput[ScheduleSlotList], error) {
	if in.err != nil {
		return nil, a.problemOf(ctx, in.err)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	s, err := a.findSchedule(ctx, in.ID)
	var runs []backup.ScheduleRun
	if err == nil {
		runs, err = a.client.ScheduleRuns(ctx, s.ID, in.before, in.limit)
	}
	if err != nil {
		return nil, a.problemOf(ctx, inQuery(err))
	}
	out := &pageOutput[ScheduleSlotList]{CacheControl: "no-store", Body: ScheduleSlotList{Slots: make([]ScheduleSlot, len(runs))}}
	for i := range runs {
		out.Body.Slots[i] = viewSlot(&runs[i])
	}
	if len(runs) == in.limit {
		out.Body.NextCursor = out.Body.Slots[len(runs)-1].Slot.Format(time.RFC3339Nano)
		out.Link = nextPage(in.values, out.Body.NextCursor)
	}
	return out, nil
}
