package httpapi

import (
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

const (
	maxWait = time.Minute

	// A backup that runs shows something new about that often.
	askRunning = 2 * time.Second
	// One that waits for its next attempt shows nothing new before, but may be
	// canceled.
	askWaiting = 10 * time.Second
)

var waitRE = regexp.MustCompile(`^[0-9]{1,6}(ms|s)$`)

func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || !waitRE.MatchString(s) || d > maxWait {
		return 0, validationProblem(FieldError{"query.wait", "must be a whole number with the unit s or ms, and at most 60s"})
	}
	return d, nil
}

// askAgain is when it is worth asking for b again: 0 for one that has ended.
func askAgain(b *backup.Backup) time.Duration {
	if ended(b.State) {
		return 0
	}
	for _, t := range b.Tasks {
		if t.State == backup.TaskRunning || t.State == backup.TaskCommitting || t.State == backup.TaskPending && t.NextAttemptAt == nil {
			return askRunning
		}
	}
	if b.NextAttemptAt == nil && len(b.Tasks) == 0 || b.State == backup.StateSealing && b.NextAttemptAt == nil {
		return askRunning
	}
	return askWaiting
}

// ended reports whether it isn't worth asking again and again for a backup in this
// state: it has ended, or is about to be gone.
func ended(s backup.State) bool { return s.Terminal() || s == backup.StateDeleting }

// withoutDeadlines lets an answer take longer than the server gives any. The
// deadline for reading would end the request's context: net/http goes on reading to
// notice that the client has gone.
func withoutDeadlines(ctx huma.Context) {
	_ = ctx.SetReadDeadline(time.Time{}) // not every server has deadlines
	if rc := controller(ctx); rc != nil {
		_ = rc.SetWriteDeadline(time.Time{})
	}
}

// controller is nil where huma runs on a server that isn't net/http.
func controller(ctx huma.Context) *http.ResponseController {
	w, ok := ctx.BodyWriter().(http.ResponseWriter)
	if !ok {
		return nil
	}
	return http.NewResponseController(w)
}
