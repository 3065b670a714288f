package jobs

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/blob"
)

// errNotProven means that the export which was stored isn't the whole one, or
// not what the source sent: it is no use to go on behind it.
var errNotProven = errors.New("export not proven")

type notProvenError struct{ error }

func (e *notProvenError) Unwrap() error        { return e.error }
func (e *notProvenError) Is(target error) bool { return target == errNotProven }

// prove decides whether the export that was stored is the whole one, and by
// what. Without a proof there is no content to commit.
func prove(p *backup.ProviderConfig, ex *backup.Export, content *blob.Content) (backup.Proof, error) {
	var end backup.End
	if ex.End != nil {
		var err error
		if end, err = ex.End(); err != nil {
			return "", err
		}
	}
	if ex.Size >= 0 && content.Size != ex.Size {
		return "", backup.Retryable(fmt.Errorf("the source announced %d bytes and sent %d", ex.Size, content.Size), "the source's stream was cut, or it announces a wrong length")
	}
	for _, sum := range [][]byte{ex.SHA256, end.SHA256} {
		if sum != nil && !bytes.Equal(sum, content.SHA256[:]) {
			return "", backup.Retryable(fmt.Errorf("the source's SHA-256 is %x, that of the bytes received %x", sum, content.SHA256), "the export was damaged on its way, or the source announces a wrong digest")
		}
	}
	proof := strongest(ex, end)
	if proof == backup.ProofNone && !p.AllowUnproven {
		return "", backup.Permanent(errors.New("nothing proves the end of the export: no length, no digest, no framing"), "make the source announce a length or use chunked coding, or declare the provider as allowed to be unproven")
	}
	if content.Size == 0 && !p.AllowEmpty {
		return "", backup.Permanent(errors.New("the export is empty"), "declare the provider as allowed to be empty if that is right")
	}
	if content.Size < p.MinSize {
		return "", backup.Permanent(&backup.SizeError{What: "export", Limit: p.MinSize, Announced: ex.Size, Received: content.Size, TooSmall: true},
			"look at the source: it exports much less than it should; or lower the provider's minimum size")
	}
	return proof, nil
}

func strongest(ex *backup.Export, end backup.End) backup.Proof {
	switch {
	case ex.SHA256 != nil, end.SHA256 != nil, end.DigestChecked && ex.Offset == 0:
		return backup.ProofDigest
	case ex.Size >= 0:
		return backup.ProofLength
	case end.Framed:
		return backup.ProofFraming
	default:
		return backup.ProofNone
	}
}
