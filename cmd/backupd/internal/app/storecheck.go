package app

import (
	"context"
	"crypto/rand"
	"path"
	"strings"
	"time"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
)

// casePatience bounds one case of CheckStore. The largest stores 32 MiB.
const casePatience = 5 * time.Minute

// StoreCase is what one case of CheckStore has found.
type StoreCase struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Error   string  `json:"error,omitempty"` // in one line
	Seconds float64 `json:"seconds"`
}

// CheckStore runs the conformance suite of package blobtest against a store, below a
// prefix that nothing else has, and tells each result. The cases delete what they
// have stored. It goes on behind a case that has failed, and returns an error only
// if ctx ends.
func CheckStore(ctx context.Context, store blob.Store, prefix string, tell func(StoreCase) error) error {
	under := path.Join(prefix, "store-check-"+strings.ToLower(rand.Text()))
	for _, c := range blobtest.Cases() {
		began := now()
		bounded, cancel := context.WithTimeout(ctx, casePatience)
		err := c.Run(bounded, store, path.Join(under, strings.ToLower(c.Name)))
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		found := StoreCase{Name: c.Name, OK: err == nil, Seconds: now().Sub(began).Seconds()}
		if err != nil {
			found.Error = OneLine(err)
		}
		if err := tell(found); err != nil {
			return err
		}
	}
	return nil
}
