package azureblob

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// List is List Blobs, page by page, with metadata.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[*blob.Object, error] {
	return func(yield func(*blob.Object, error) bool) {
		pager := s.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			Prefix:  &prefix,
			Include: container.ListBlobsInclude{Metadata: true},
		})
		for pager.More() {
			bounded, cancel := s.opts.forOp(ctx)
			page, err := pager.NextPage(bounded)
			cancel()
			if err != nil {
				yield(nil, fmt.Errorf("list %q: %w", prefix, firstCause(ctx, explain(err))))
				return
			}
			if page.Segment == nil {
				continue
			}
			for _, item := range page.Segment.BlobItems {
				if !yield(object(item), nil) {
					return
				}
			}
		}
	}
}

func object(item *container.BlobItem) *blob.Object {
	obj := &blob.Object{
		Key:  orZero(item.Name),
		Info: blob.Info{Metadata: metadata(item.Metadata)},
	}
	if p := item.Properties; p != nil {
		obj.Size = orZero(p.ContentLength)
		obj.LastModified = orZero(p.LastModified)
		obj.ContentType = orZero(p.ContentType)
	}
	return obj
}

// Delete is Delete Blob.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.delete(ctx, key); err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	bounded, cancel := s.opts.forOp(ctx)
	defer cancel()
	// The condition is that a blob is there. Without it Azurite deletes the
	// blocks that are staged for one that isn't.
	_, err := s.blob(key).Delete(bounded, &azblob.DeleteOptions{
		AccessConditions: &azblob.AccessConditions{
			ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETagAny)},
		},
	})
	err = explain(err)
	if errors.Is(err, blob.ErrNotFound) || hasCode(err, bloberror.ConditionNotMet) {
		return nil
	}
	return firstCause(ctx, err)
}
