package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"
)

// Provider reads one kind of export of a site: its content, its database, its
// mail. The engine in package jobs calls it once per attempt of a task.
//
// A Provider is used by many goroutines at once.
type Provider interface {
	// Export begins the export that req names and returns it with its body
	// open. The body is read once, from start to end, by one goroutine, and
	// always closed. ctx lives as long as the body is read: canceling it must
	// make a blocked Read return.
	//
	// Export returns errors made by Permanent, Retryable or RetryAfter where it
	// knows the class; any other error is retryable.
	Export(ctx context.Context, req *ExportRequest) (*Export, error)
}

// ExportRequest names what to export, and where an earlier attempt stopped.
type ExportRequest struct {
	BackupID string // the backup's id, a UUID; good as a correlation id at the source
	UserID   string
	SiteID   string
	Provider string // the name under which the provider is configured

	// Offset is how many bytes of the export are safely stored already. 0 asks
	// for the whole.
	Offset int64
	// Validator is what Export.Validator said when those bytes were read. A
	// source that can't prove it still serves the same bytes must begin again.
	Validator string
	// Cursor is what Export.Cursor said right behind those bytes, for a source
	// that is resumed by an opaque mark rather than by an offset. It is empty
	// where Export.Cursor was nil.
	Cursor string
}

// Export is an export whose body is open.
type Export struct {
	// Body gives the bytes from Offset to the end. Its Read returns io.EOF, and
	// no error that wraps it, when the source's end was reached; a body that was
	// cut returns another error, io.ErrUnexpectedEOF as a rule. Close may be
	// called while Read waits, and makes it return.
	Body io.ReadCloser

	// Offset is where Body starts in the export: ExportRequest.Offset when the
	// source resumed, 0 when it started over. Any other value fails the attempt.
	Offset int64

	// Size is the length of the whole export in bytes, counted from its first
	// byte and not from Offset, or -1 if the source didn't announce it. 0 is an
	// announced empty export. For an export that was resumed, what an earlier
	// attempt announced stands where this one says -1.
	Size int64

	// SHA256 is the source's digest of the whole export where it is known before
	// the body is read (RFC 9530, in a header), 32 bytes, or nil. The engine
	// compares what it stored with it, at the end of a later attempt that goes on
	// behind this one, too.
	SHA256 []byte

	// Validator identifies these bytes, so that a later attempt may go on behind
	// them: a strong ETag or its equivalent. Empty: the export can't be resumed,
	// unless it has a Cursor.
	Validator string

	// Cursor makes an export resumable that is read in pages, or by a token of the
	// source's own. The engine calls it after each Read of Body, from the same
	// goroutine. It returns what a later request needs to go on exactly behind the
	// last byte that was read, or "" where that is impossible: in the middle of a
	// page. A Read must not go beyond such a place. A later attempt only ever goes
	// on behind a byte with a cursor. At most 8 KiB of valid UTF-8 without control
	// characters, and no secret: it is stored in the database.
	Cursor func() string

	// ContentType is the media type to store with the object.
	ContentType string

	// End says how the end of the stream was proven. It is called once, after
	// Body has returned io.EOF. Nil is the same as a function that returns an
	// End of zero value: then only Size can prove that the stream is whole.
	End func() (End, error)
}

// ErrRefuted is matched by an error of Export.Body that says that bytes of it are
// not those of the source: a digest that covers them doesn't match, say. Nothing
// goes on behind them; the next attempt begins at the first byte. An error of
// Export.End means that without matching it.
var ErrRefuted = errors.New("the bytes read are not those of the source")

// Sizer is a Provider that can tell the size of an export before it is made. It
// is asked when a backup with a size limit is planned, so that one that can't fit
// fails before a byte is read.
type Sizer interface {
	// Size returns the size in bytes of the export that req names, or -1 if the
	// source doesn't say. An error is no more than a source that doesn't say: the
	// export itself will show what is wrong.
	Size(ctx context.Context, req *ExportRequest) (int64, error)
}

// End is what a source knows of its export once the last byte was read. An
// error of Export.End (a digest that doesn't match, say) fails the attempt.
type End struct {
	// Framed: the transfer's own framing ended properly: the terminal chunk of
	// HTTP/1.1 chunked coding (RFC 9112 §7.1), END_STREAM of HTTP/2 (RFC 9113
	// §8.1), or the equivalent of another protocol. The end of a connection is
	// not framing.
	Framed bool

	// DigestChecked: a digest that the source gave for exactly the bytes of Body
	// was computed and matched, and Body was the whole export (RFC 9530
	// Content-Digest of a 200 response).
	DigestChecked bool

	// SHA256 is the source's digest of the whole export (RFC 9530 Repr-Digest),
	// 32 bytes, or nil. The engine compares it with what it stored.
	SHA256 []byte
}

// Proof is how the end of a task's stream was proven.
type Proof string

// The proofs.
const (
	ProofLength  Proof = "length"  // the announced number of bytes arrived, and then the end
	ProofDigest  Proof = "digest"  // the source's digest matched
	ProofFraming Proof = "framing" // the transfer's framing ended properly
	ProofNone    Proof = "none"    // nothing proved it; the provider is declared AllowUnproven
)

// ProviderConfig is how a provider is configured under a name.
type ProviderConfig struct {
	// Name is the provider's name in tasks, manifests, River kinds and queues,
	// and object names. It matches ^[a-z0-9]+([_-][a-z0-9]+)*$ and has at most 40
	// characters.
	Name string

	// Provider reads the export. It may be nil in a process that only asks for
	// backups and works none.
	Provider Provider

	// AllowEmpty accepts an export of 0 bytes as a complete one, unless MinSize is set.
	AllowEmpty bool

	// AllowUnproven accepts a stream whose end nothing proved (see End); the
	// manifest then says "none" as its proof.
	AllowUnproven bool

	// MaxSize is the most bytes one export may have; 0 sets no limit. One that
	// announces more fails before a byte is read, another when a byte more than
	// that has arrived.
	MaxSize int64

	// MinSize is the fewest bytes a complete export has; a shorter one fails. It
	// is for exports that are known to be never that small, since a source that
	// suddenly exports next to nothing is the commonest way to have no backup.
	// Defaults to 1, or to 0 with AllowEmpty.
	MinSize int64

	// MaxAttempts is how often a task is attempted before it fails for good,
	// between 1 and 100. Attempts that ended because their worker died or was
	// stopped don't count (only twenty deaths in a row at the same byte end a task, too),
	// and the count begins again when an attempt that was
	// resumed came further than all before: a long export may break off more
	// often. Defaults to 10.
	MaxAttempts int

	// MaxWorkers is how many tasks of this provider one process runs at once,
	// between 1 and 1,000. Defaults to 4.
	MaxWorkers int

	// MaxRunning is how many tasks of this provider all processes together run at
	// once; 0 sets no limit beside MaxWorkers.
	MaxRunning int

	// RetryFor bounds the time from a task's first failure, or from when an attempt
	// that was resumed last came further, to its last, whatever the number of attempts:
	// waits that the source asks for count here. At least 1 minute. Defaults to 24
	// hours.
	RetryFor time.Duration

	// OpenTimeout ends an attempt when Provider.Export hasn't returned for so
	// long, between 1 second and 24 hours. Defaults to 5 minutes.
	OpenTimeout time.Duration

	// StallTimeout ends an attempt when no byte arrived for so long, between 1
	// second and 1 hour. Time in which the store is what holds things up doesn't
	// count. Defaults to 60 seconds.
	StallTimeout time.Duration
}

var providerNameRE = regexp.MustCompile(`^[a-z0-9]+([_-][a-z0-9]+)*$`)

const maxProviderName = 40

// ValidateProviderName returns an error that says what is wrong with name as a
// provider's name, or nil.
func ValidateProviderName(name string) error {
	if name == "" || len(name) > maxProviderName || !providerNameRE.MatchString(name) {
		return fmt.Errorf("provider name %q must match %s and have at most %d characters", name, providerNameRE, maxProviderName)
	}
	return nil
}

// defaults fills in what isn't set, and validates.
func (p *ProviderConfig) defaults() error {
	if err := ValidateProviderName(p.Name); err != nil {
		return err
	}
	p.MaxAttempts = cmp.Or(p.MaxAttempts, 10)
	p.MaxWorkers = cmp.Or(p.MaxWorkers, 4)
	p.RetryFor = cmp.Or(p.RetryFor, 24*time.Hour)
	p.OpenTimeout = cmp.Or(p.OpenTimeout, 5*time.Minute)
	p.StallTimeout = cmp.Or(p.StallTimeout, time.Minute)
	for _, rule := range []struct {
		ok   bool
		text string
	}{
		{p.MaxSize >= 0, "MaxSize must not be negative"},
		{p.MinSize >= 0 && (p.MaxSize == 0 || p.MinSize <= p.MaxSize), "MinSize must not be negative, nor more than MaxSize"},
		{p.MaxRunning >= 0 && p.MaxRunning <= 100_000, "MaxRunning must be between 0 and 100,000"},
		{p.MaxAttempts >= 1 && p.MaxAttempts <= 100, "MaxAttempts must be between 1 and 100"},
		{p.MaxWorkers >= 1 && p.MaxWorkers <= 1000, "MaxWorkers must be between 1 and 1,000"},
		{p.RetryFor >= time.Minute, "RetryFor must be at least 1 minute"},
		{p.OpenTimeout >= time.Second && p.OpenTimeout <= 24*time.Hour, "OpenTimeout must be between 1 second and 24 hours"},
		{p.StallTimeout >= time.Second && p.StallTimeout <= time.Hour, "StallTimeout must be between 1 second and 1 hour"},
	} {
		if !rule.ok {
			return fmt.Errorf("provider %q: %s", p.Name, rule.text)
		}
	}
	return nil
}
