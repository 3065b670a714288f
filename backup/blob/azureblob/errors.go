package azureblob

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Error is an answer of Azure that isn't a success. It wraps the error of package
// blob that it means, if any.
type Error struct {
	Status    int    // HTTP status
	Code      string // Azure's code: "BlobNotFound"
	RequestID string // to look for in Azure's logs
	Hint      string // what to do about it; may be empty
	err       error
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.err != nil {
		b.WriteString(e.err.Error() + ": ")
	}
	fmt.Fprintf(&b, "azure says %d", e.Status)
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.RequestID != "" {
		b.WriteString(" (request " + e.RequestID + ")")
	}
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.err }

// errRange means that an object has no byte in the range that was asked for.
var errRange = errors.New("range is outside of the object")

// meanings are the codes that say something to the callers of a store.
var meanings = map[bloberror.Code]error{
	bloberror.BlobNotFound:     blob.ErrNotFound,
	bloberror.InvalidBlockList: blob.ErrPartMissing,
	bloberror.CRC64Mismatch:    blob.ErrChecksum,
	bloberror.MD5Mismatch:      blob.ErrChecksum,
	bloberror.InvalidRange:     errRange,
}

// hints are for operators.
var hints = map[bloberror.Code]string{
	bloberror.ContainerNotFound:               "the container does not exist: create it, or correct its name",
	bloberror.ContainerBeingDeleted:           "the container is being deleted",
	bloberror.ContainerDisabled:               "the container is disabled",
	bloberror.AccountIsDisabled:               "the storage account is disabled",
	bloberror.AuthenticationFailed:            "the credential is wrong or expired, or this machine's clock is",
	bloberror.InvalidAuthenticationInfo:       "the credential is wrong or expired, or this machine's clock is",
	bloberror.NoAuthenticationInformation:     "no credential was sent",
	bloberror.AuthorizationFailure:            "the credential may not do this, or the account's firewall refuses this address",
	bloberror.AuthorizationPermissionMismatch: "the credential may not do this: give its identity the role Storage Blob Data Contributor, or the signature more permissions",
	bloberror.AuthorizationSourceIPMismatch:   "the signature does not hold for this address",
	bloberror.InsufficientAccountPermissions:  "the credential may not do this",
	bloberror.BlockCountExceedsLimit:          "too many blocks are staged under this name: wait a week, or use another name",
	bloberror.InvalidBlobOrBlock:              "blocks of another program are staged under this name: wait a week, or use another name",
	bloberror.BlobImmutableDueToPolicy:        "a retention policy or a legal hold protects it",
	bloberror.BlobArchived:                    "it is in the archive tier: rehydrate it",
	bloberror.ServerBusy:                      "the storage account is at its limits",
}

// explain makes an error of the SDK one that may be shown: in one line, without
// secrets, and with its meaning. nil stays nil.
func explain(err error) error {
	var answer *azcore.ResponseError
	var request *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return throttled(newError(answer), answer)
	case errors.As(err, &request):
		// It has the whole URL, and with it the signature.
		return &shown{text: request.Op + " " + redact(request.URL) + ": " + oneLine(request.Err), err: request.Err}
	default:
		return &shown{text: oneLine(err), err: err}
	}
}

// newError says what answer means.
func newError(answer *azcore.ResponseError) *Error {
	code := bloberror.Code(answer.ErrorCode)
	e := &Error{Status: answer.StatusCode, Code: answer.ErrorCode, Hint: hints[code], err: meanings[code]}
	if answer.RawResponse != nil {
		e.RequestID = answer.RawResponse.Header.Get("X-Ms-Request-Id")
	}
	return e
}

// hasCode says whether err is an answer with one of the codes.
func hasCode(err error, codes ...bloberror.Code) bool {
	var e *Error
	return errors.As(err, &e) && slices.Contains(codes, bloberror.Code(e.Code))
}

// shown is an error with a text that may be shown.
type shown struct {
	text string
	err  error
}

func (e *shown) Error() string { return e.text }

func (e *shown) Unwrap() error { return e.err }

func redact(raw string) string {
	if u, err := withoutQuery(raw); err == nil {
		return u
	}
	return "(a URL that can't be read)"
}

// oneLine is the text of err in one line. The errors of credentials quote whole
// answers.
func oneLine(err error) string {
	const most = 500
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// firstCause is the cause of ctx's end, if it has ended, and otherwise err. A
// deadline of our own isn't ctx's end.
func firstCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}
