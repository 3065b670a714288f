package main

import (
	"context"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

type scheduleNextCmd struct {
	scheduled
	Count int `default:"10" help:"How many slots; at most 100."`
}

// Run tells the next slots.
func (n *scheduleNextCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, id, err := n.ask(c)
	if err != nil {
		return err
	}
	next, err := client.Read[client.UpcomingSlots](api.ListNextSlots(ctx, id, &client.ListNextSlotsParams{Count: &n.Count}))
	if err != nil {
		return err
	}
	return printNext(sys, &c.Schedule.serverFlags, next.Slots)
}

type scheduleRunsCmd struct {
	scheduled
	Limit int `default:"50" help:"How many at most; 0 for all."`
}

// Run tells what became of slots, page by page.
func (r *scheduleRunsCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, id, err := r.ask(c)
	if err != nil {
		return err
	}
	all, err := pages(r.Limit, func(limit int, cursor *string) ([]client.ScheduleSlot, *string, error) {
		list, err := client.Read[client.ScheduleSlotList](api.ListScheduleSlots(ctx, id, &client.ListScheduleSlotsParams{Limit: &limit, Cursor: cursor}))
		if err != nil {
			return nil, nil, err
		}
		return list.Slots, list.NextCursor, nil
	})
	if err != nil {
		return err
	}
	return printSlots(sys, &c.Schedule.serverFlags, all)
}

type scheduleRunCmd struct {
	scheduled
	Key   string `placeholder:"KEY" help:"An idempotency key: the same command with the same key starts one backup."`
	Watch bool   `short:"w" help:"Watch the backup until it ends. The exit status is 3 if it doesn't end as done."`
}

// Run starts a backup out of turn.
func (r *scheduleRunCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, id, err := r.ask(c)
	if err != nil {
		return err
	}
	b, err := client.Read[client.Backup](api.RunSchedule(ctx, id, &client.RunScheduleParams{IdempotencyKey: orNil(r.Key)}))
	if err != nil {
		return err
	}
	if r.Watch {
		return watch(ctx, sys, &c.Schedule.serverFlags, api, b.ID.String())
	}
	return printBackup(sys, &c.Schedule.serverFlags, b)
}
