package azureblob

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// Commit is Put Block List with If-None-Match: *.
func (s *Store) Commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if err := s.commit(ctx, key, parts, info); err != nil {
		return fmt.Errorf("commit %q: %w", key, err)
	}
	return nil
}

func (s *Store) commit(ctx context.Context, key string, parts []blob.Part, info blob.Info) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	if len(parts) > blob.MaxParts {
		return blob.ErrTooManyParts
	}
	ids := make([]string, len(parts))
	for i, p := range parts {
		ids[i] = blockID(p.ID)
	}
	bounded, cancel := s.opts.forCommit(ctx)
	defer cancel()
	_, err := s.blob(key).CommitBlockList(bounded, ids, commitOptions(info))
	return firstCause(ctx, asExists(explain(err)))
}

func commitOptions(info blob.Info) *blockblob.CommitBlockListOptions {
	o := &blockblob.CommitBlockListOptions{
		AccessConditions: &azblob.AccessConditions{
			ModifiedAccessConditions: &azblob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		},
	}
	if info.ContentType != "" {
		o.HTTPHeaders = &azblob.HTTPHeaders{BlobContentType: &info.ContentType}
	}
	if len(info.Metadata) > 0 {
		o.Metadata = make(map[string]*string, len(info.Metadata))
		for k, v := range info.Metadata {
			o.Metadata[k] = &v
		}
	}
	return o
}

// asExists makes ErrExists of the ways in which Azure says that a commit has
// found a blob.
func asExists(err error) error {
	if hasCode(err,
		bloberror.BlobAlreadyExists,
		bloberror.ConditionNotMet,           // If-None-Match: *
		bloberror.UnauthorizedBlobOverwrite, // the signature allows to create only
		bloberror.BlobImmutableDueToPolicy,
	) {
		return fmt.Errorf("%w: %w", blob.ErrExists, err)
	}
	return err
}

// CommittedParts is Get Block List of the committed blocks.
func (s *Store) CommittedParts(ctx context.Context, key string) ([]blob.Part, error) {
	parts, err := s.committedParts(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("list committed parts of %q: %w", key, err)
	}
	return parts, nil
}

func (s *Store) committedParts(ctx context.Context, key string) ([]blob.Part, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	bounded, cancel := s.opts.forCommit(ctx)
	defer cancel()
	list, err := s.blob(key).GetBlockList(bounded, blockblob.BlockListTypeCommitted, nil)
	if err != nil {
		return nil, firstCause(ctx, explain(err))
	}
	if len(list.CommittedBlocks) == 0 {
		return nil, s.withoutBlocks(ctx, key)
	}
	parts := make([]blob.Part, 0, len(list.CommittedBlocks))
	for _, b := range list.CommittedBlocks {
		id, ok := parseBlockID(b.Name)
		if !ok || b.Size == nil {
			return nil, errForeign
		}
		parts = append(parts, blob.Part{ID: id, Size: *b.Size})
	}
	return parts, nil
}

var errForeign = fmt.Errorf("it was not written in parts of ours: %w", errors.ErrUnsupported)

// withoutBlocks says why an object has no committed blocks. Where blocks are only
// staged the list is empty, too.
func (s *Store) withoutBlocks(ctx context.Context, key string) error {
	obj, err := s.stat(ctx, key)
	if err == nil && obj.Size > 0 {
		return errForeign // by Put Blob
	}
	return err
}
