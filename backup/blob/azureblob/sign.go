package azureblob

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
)

// SignURL returns the object's URL with a shared access signature that allows to
// read it. That takes a client that was made with a shared key, or
// Options.Service; else it returns errors.ErrUnsupported.
func (s *Store) SignURL(ctx context.Context, key string, valid time.Duration) (string, error) {
	u, err := s.signURL(ctx, key, valid)
	if err != nil {
		return "", fmt.Errorf("sign URL of %q: %w", key, err)
	}
	return u, nil
}

func (s *Store) signURL(ctx context.Context, key string, valid time.Duration) (string, error) {
	if err := begin(ctx, key); err != nil {
		return "", err
	}
	if valid <= 0 {
		return "", fmt.Errorf("a URL can't be valid for %s", valid)
	}
	b := s.client.NewBlobClient(key)
	now := s.now()
	u, err := b.GetSASURL(sas.BlobPermissions{Read: true}, now.Add(valid), nil)
	if errors.Is(err, bloberror.MissingSharedKeyCredential) {
		if s.delegation != nil {
			ctx, cancel := s.opts.forOp(ctx)
			defer cancel()
			return s.delegation.sign(ctx, b.URL(), now, now.Add(valid))
		}
		return "", fmt.Errorf("the client has no shared key: %w", errors.ErrUnsupported)
	}
	return u, explain(err)
}
