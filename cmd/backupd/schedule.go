package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
	"github.com/sitebackup/sitebackup/httpapi/client"
)

type scheduleCmd struct {
	serverFlags

	Put    schedulePutCmd    `cmd:"" help:"Make a schedule, or replace all settings of the one that has the name."`
	List   scheduleListCmd   `cmd:"" help:"List schedules."`
	Show   scheduleShowCmd   `cmd:"" help:"Show a schedule."`
	Next   scheduleNextCmd   `cmd:"" help:"Tell when it runs next."`
	Runs   scheduleRunsCmd   `cmd:"" help:"Tell what became of its slots, the last first."`
	Run    scheduleRunCmd    `cmd:"" help:"Start a backup of it now."`
	Pause  schedulePauseCmd  `cmd:"" help:"Have its slots skipped."`
	Resume scheduleResumeCmd `cmd:"" help:"End a pause."`
	Rm     scheduleRmCmd     `cmd:"" name:"rm" help:"Delete a schedule. Its backups stay."`
}

type schedulePutCmd struct {
	User              string            `required:"" placeholder:"ID" help:"The user."`
	Site              string            `required:"" placeholder:"ID" help:"The user's site."`
	Name              string            `default:"default" placeholder:"NAME" help:"Its name; a site has one schedule of a name. Defaults to ${default}."`
	Cron              string            `required:"" placeholder:"EXPR" help:"When: five fields as of crontab, a macro such as @daily, or \"@every 6h\"."`
	TimeZone          string            `placeholder:"ZONE" help:"The zone that it counts in, such as Europe/Berlin. Defaults to UTC."`
	Spread            string            `placeholder:"DURATION" help:"Run later by a time up to this that follows from its id, such as 30min."`
	CatchUp           string            `enum:"last,none" default:"last" help:"What becomes of slots that passed while no worker was there: last or none."`
	Overlap           string            `enum:"skip,queue,allow" default:"skip" help:"What becomes of a slot while an earlier backup hasn't ended: skip, queue or allow."`
	StartingDeadline  string            `placeholder:"DURATION" help:"How late a slot may be started, such as 6h. Defaults to however late."`
	Paused            bool              `help:"Have its slots skipped."`
	MaxAge            string            `placeholder:"DURATION" help:"How old its newest good backup may be before there is an alert, such as 26h."`
	Providers         []string          `name:"provider" placeholder:"NAME" help:"An export to make; may be given more than once. Defaults to all."`
	Labels            map[string]string `name:"label" placeholder:"KEY=VALUE" help:"A label of its backups; may be given more than once."`
	ContinueOnFailure bool              `help:"Let the other exports run on when one fails for good."`
	SizeLimit         config.Size       `placeholder:"SIZE" help:"The most that all exports of a backup together may have, such as 10GiB."`

	retentionFlags `embed:"" group:"Which backups are kept, any of these; without them the server's default says:"`
}

// retentionFlags are the rules of a policy. Without any, the server's default holds.
type retentionFlags struct {
	KeepLast    *int    `placeholder:"N" help:"The newest N."`
	KeepWithin  *string `placeholder:"DURATION" help:"Those younger than this, such as 30d."`
	KeepHourly  *int    `placeholder:"N" help:"The newest of each of N hours."`
	KeepDaily   *int    `placeholder:"N" help:"The newest of each of N days."`
	KeepWeekly  *int    `placeholder:"N" help:"The newest of each of N weeks."`
	KeepMonthly *int    `placeholder:"N" help:"The newest of each of N months."`
	KeepYearly  *int    `placeholder:"N" help:"The newest of each of N years."`
	AtLeast     *int    `placeholder:"N" help:"The newest N copies of each provider."`
	KeepFailed  *string `placeholder:"DURATION" help:"Failed and canceled ones for so long. Defaults to 7d."`
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
	Limit int    `default:"50" help:"How many at most; 0: all."`
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
		return nil, &statusError{statusUsage, errors.New("--limit must not be negative")}
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

// ask is the server, and the id, lest an empty one ask for something else.
func (n *scheduled) ask(c *cli) (api *client.Client, id string, err error) {
	if id = strings.TrimSpace(n.ID); id == "" || id == "." || id == ".." {
		return nil, "", &statusError{statusUsage, fmt.Errorf("%q is no schedule's id", n.ID)}
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
