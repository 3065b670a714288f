package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

type scheduleCmd struct {
	serverFlags

	Put    schedulePutCmd    `cmd:"" help:"Create a schedule, or replace all settings of the one with that name."`
	List   scheduleListCmd   `cmd:"" help:"List schedules."`
	Show   scheduleShowCmd   `cmd:"" help:"Show a schedule."`
	Next   scheduleNextCmd   `cmd:"" help:"Show when a schedule runs next."`
	Runs   scheduleRunsCmd   `cmd:"" help:"Show what became of a schedule's slots, the latest first."`
	Run    scheduleRunCmd    `cmd:"" help:"Start one of its backups now."`
	Pause  schedulePauseCmd  `cmd:"" help:"Pause a schedule: its slots are skipped."`
	Resume scheduleResumeCmd `cmd:"" help:"Resume a paused schedule."`
	Rm     scheduleRmCmd     `cmd:"" name:"rm" help:"Delete a schedule. Its backups stay, under the retention policy that it had."`
}

type schedulePutCmd struct {
	User              string            `required:"" placeholder:"ID" help:"The user."`
	Site              string            `required:"" placeholder:"ID" help:"The user's site."`
	Name              string            `default:"default" placeholder:"NAME" help:"Its name, unique among the schedules of the site. Defaults to ${default}."`
	Cron              string            `required:"" placeholder:"EXPR" help:"When to run: five fields as in a crontab, a macro such as @daily, or \"@every 6h\"."`
	TimeZone          string            `placeholder:"ZONE" help:"The time zone of the expression, such as Europe/Berlin. Defaults to UTC."`
	Spread            string            `placeholder:"DURATION" help:"Delay it by a fixed offset of up to this, derived from its id, such as 30min."`
	CatchUp           string            `enum:"last,none" default:"last" help:"Which of the slots that were missed while no worker ran to start late: last or none."`
	Overlap           string            `enum:"skip,queue,allow" default:"skip" help:"What to do with a slot while an earlier backup hasn't ended: skip, queue or allow."`
	StartingDeadline  string            `placeholder:"DURATION" help:"How late a slot may still be started, such as 6h; at least 1m. Defaults to no limit."`
	Paused            bool              `help:"Create it paused: its slots are skipped."`
	MaxAge            string            `placeholder:"DURATION" help:"Alert when its newest good backup is older than this, such as 26h."`
	Providers         []string          `name:"provider" placeholder:"NAME" help:"An export to make; may be given more than once. Defaults to all."`
	Labels            map[string]string `name:"label" mapsep:"none" placeholder:"KEY=VALUE" help:"A label of its backups; may be given more than once."`
	ContinueOnFailure bool              `help:"Keep the other exports running when one fails for good."`
	SizeLimit         config.Size       `placeholder:"SIZE" help:"The most that all exports of a backup together may amount to, such as 10GiB."`

	retentionFlags `embed:"" group:"Which backups to keep; without any of these, the server's default applies:"`
}

// retentionFlags are the rules of a policy. Without any, the server's default holds.
type retentionFlags struct {
	KeepLast    *int    `placeholder:"N" help:"The newest N."`
	KeepWithin  *string `placeholder:"DURATION" help:"Those younger than this, such as 30d."`
	KeepHourly  *int    `placeholder:"N" help:"The newest of each hour, for N hours."`
	KeepDaily   *int    `placeholder:"N" help:"The newest of each day, for N days."`
	KeepWeekly  *int    `placeholder:"N" help:"The newest of each week, for N weeks."`
	KeepMonthly *int    `placeholder:"N" help:"The newest of each month, for N months."`
	KeepYearly  *int    `placeholder:"N" help:"The newest of each year, for N years."`
	AtLeast     *int    `placeholder:"N" help:"At least the newest N copies of each provider's export."`
	KeepFailed  *string `placeholder:"DURATION" help:"How long to keep failed and canceled ones. Defaults to 7d."`
}

func (r *retentionFlags) policy() *client.RetentionPolicy {
	if *r == (retentionFlags{}) {
		return nil
	}
	return &client.RetentionPolicy{
		KeepLast: int64Of(r.KeepLast), KeepWithin: r.KeepWithin, KeepHourly: int64Of(r.KeepHourly), KeepDaily: int64Of(r.KeepDaily), KeepWeekly: int64Of(r.KeepWeekly),
		KeepMonthly: int64Of(r.KeepMonthly), KeepYearly: int64Of(r.KeepYearly), AtLeast: int64Of(r.AtLeast), KeepFailed: r.KeepFailed,
	}
}

func int64Of(n *int) *int64 {
	if n == nil {
		return nil
	}
	v := int64(*n)
	return &v
}

// Run makes the schedule or, if there is one of that name, replaces its settings.
func (p *schedulePutCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, err := c.Schedule.client()
	if err != nil {
		return err
	}
	settings := p.settings()
	body, err := json.Marshal(struct {
		UserID string `json:"userId"`
		SiteID string `json:"siteId"`
		Name   string `json:"name"`
		client.ScheduleSettings
	}{p.User, p.Site, p.Name, settings})
	if err != nil {
		return err
	}
	s, err := client.Read[client.Schedule](api.CreateScheduleWithBody(ctx, "application/json", bytes.NewReader(body)))
	var exists *client.Error
	if errors.As(err, &exists) && exists.Code == client.ProblemCodeScheduleExists && exists.ScheduleID != nil {
		s, err = client.Read[client.Schedule](api.ReplaceSchedule(ctx, exists.ScheduleID.String(), nil, settings))
	}
	if err != nil {
		return err
	}
	return printSchedule(sys, &c.Schedule.serverFlags, s)
}

func (p *schedulePutCmd) settings() client.ScheduleSettings {
	catchUp, overlap := client.ScheduleSettingsCatchUp(p.CatchUp), client.ScheduleSettingsOverlap(p.Overlap)
	s := client.ScheduleSettings{
		Cron: p.Cron, TimeZone: orNil(p.TimeZone), Spread: orNil(p.Spread), CatchUp: &catchUp, Overlap: &overlap, StartingDeadline: orNil(p.StartingDeadline),
		Paused: &p.Paused, MaxAge: orNil(p.MaxAge), Providers: p.Providers, Labels: p.Labels, ContinueOnFailure: &p.ContinueOnFailure, Retention: p.policy(),
	}
	if limit := int64(p.SizeLimit); limit != 0 {
		s.SizeLimit = &limit
	}
	return s
}

// orNil is nil for a flag that isn't given.
func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

type scheduleListCmd struct {
	User  string `placeholder:"ID" help:"Only this user's."`
	Site  string `placeholder:"ID" help:"Only this site's."`
	Name  string `placeholder:"NAME" help:"Only those of this name."`
	Alert bool   `help:"Only those whose newest good backup is too old."`
	Limit int    `default:"50" help:"How many at most; 0 for all."`
}

// Run lists schedules, page by page.
func (l *scheduleListCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, err := c.Schedule.client()
	if err != nil {
		return err
	}
	params := &client.ListSchedulesParams{UserID: orNil(l.User), SiteID: orNil(l.Site), Name: orNil(l.Name)}
	if l.Alert {
		params.Alert = &l.Alert
	}
	all, err := pages(l.Limit, func(limit int, cursor *string) ([]client.Schedule, *string, error) {
		params.Limit, params.Cursor = &limit, cursor
		list, err := client.Read[client.ScheduleList](api.ListSchedules(ctx, params))
		if err != nil {
			return nil, nil, err
		}
		return list.Schedules, list.NextCursor, nil
	})
	if err != nil {
		return err
	}
	return printSchedules(sys, &c.Schedule.serverFlags, all)
}

// pages reads a list to its end, or until it has limit.
func pages[T any](limit int, page func(limit int, cursor *string) ([]T, *string, error)) ([]T, error) {
	if limit < 0 {
		return nil, usage("--limit must not be negative")
	}
	all := []T{}
	for cursor := (*string)(nil); ; {
		size := 200
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		more, next, err := page(size, cursor)
		if err != nil {
			return nil, err
		}
		if all = append(all, more...); next == nil || limit > 0 && len(all) >= limit {
			return all, nil
		}
		cursor = next
	}
}

// scheduled is a command about one schedule.
type scheduled struct {
	ID string `arg:"" help:"The schedule's id."`
}

// ask is the server, and the id.
func (n *scheduled) ask(c *cli) (api *client.Client, id string, err error) {
	if id, err = checkID("schedule", n.ID); err != nil {
		return nil, "", err
	}
	api, err = c.Schedule.client()
	return api, id, err
}

// one sends a request about a schedule, and prints what comes back.
func (n *scheduled) one(ctx context.Context, sys *system, c *cli, send func(*client.Client) request) error {
	api, id, err := n.ask(c)
	if err != nil {
		return err
	}
	s, err := client.Read[client.Schedule](send(api)(ctx, id))
	if err != nil {
		return err
	}
	return printSchedule(sys, &c.Schedule.serverFlags, s)
}

type (
	scheduleShowCmd   struct{ scheduled }
	schedulePauseCmd  struct{ scheduled }
	scheduleResumeCmd struct{ scheduled }
	scheduleRmCmd     struct{ scheduled }
)

// Run shows a schedule.
func (s *scheduleShowCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request {
		return func(ctx context.Context, id string, edit ...client.RequestEditorFn) (*http.Response, error) {
			return api.GetSchedule(ctx, id, nil, edit...)
		}
	})
}

// Run pauses a schedule.
func (s *schedulePauseCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request { return api.PauseSchedule })
}

// Run ends its pause.
func (s *scheduleResumeCmd) Run(ctx context.Context, sys *system, c *cli) error {
	return s.one(ctx, sys, c, func(api *client.Client) request { return api.ResumeSchedule })
}

// Run deletes a schedule.
func (s *scheduleRmCmd) Run(ctx context.Context, sys *system, c *cli) error {
	api, id, err := s.ask(c)
	if err != nil {
		return err
	}
	res, err := client.Open(api.DeleteSchedule(ctx, id, nil))
	if err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	if c.Schedule.Output == outputJSON {
		return printJSON(sys, map[string]string{"deleted": id})
	}
	_, err = fmt.Fprintf(sys.out, "schedule %s is deleted\n", id)
	return err
}
