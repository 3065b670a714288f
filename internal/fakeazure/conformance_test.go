package fakeazure_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/internal/fakeazure"
)

// All that a store promises holds of one on the fake.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]bool{"HTTP": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, serve(t, fakeazure.New(nil), secure))
			_, err := c.Create(t.Context(), nil)
			require.NoError(t, err)
			blobtest.Run(t, func(t *testing.T) blob.Store { return newStore(t, c) })
		})
	}
}
