package azureblob

import (
	"context"
	"errors"
	"fmt"

	azblob "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// StagePart is Put Block.
func (s *Store) StagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := s.stagePart(ctx, key, part, data); err != nil {
		return fmt.Errorf("stage part %d of %q: %w", part.ID.Index(), key, err)
	}
	return nil
}

func (s *Store) stagePart(ctx context.Context, key string, part blob.Part, data []byte) error {
	if err := begin(ctx, key); err != nil {
		return err
	}
	if len(data) == 0 || part.Size != int64(len(data)) {
		return fmt.Errorf("part of %d bytes came with %d", part.Size, len(data))
	}
	bounded, cancel := s.opts.forPart(ctx, part.Size)
	defer cancel()
	if err := s.stageBlock(bounded, s.blob(key), part, data); err != nil {
		return firstCause(ctx, err)
	}
	return nil
}

func (s *Store) stageBlock(ctx context.Context, b *blockblob.Client, part blob.Part, data []byte) error {
	body := newBody(data)
	defer body.detach()
	_, err := b.StageBlock(ctx, blockID(part.ID), body, &blockblob.StageBlockOptions{
		TransactionalValidation: azblob.TransferValidationTypeCRC64(part.CRC64),
	})
	return explain(err)
}

// StagedParts is Get Block List of the uncommitted blocks.
func (s *Store) StagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	parts, err := s.stagedParts(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("list staged parts of %q: %w", key, err)
	}
	return parts, nil
}

func (s *Store) stagedParts(ctx context.Context, key string) ([]blob.Part, error) {
	if err := begin(ctx, key); err != nil {
		return nil, err
	}
	bounded, cancel := s.opts.forCommit(ctx)
	defer cancel()
	list, err := s.blob(key).GetBlockList(bounded, blockblob.BlockListTypeUncommitted, nil)
	if err = explain(err); errors.Is(err, blob.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, firstCause(ctx, err)
	}
	var parts []blob.Part
	for _, b := range list.UncommittedBlocks {
		if id, ok := parseBlockID(b.Name); ok && b.Size != nil {
			parts = append(parts, blob.Part{ID: id, Size: *b.Size})
		}
	}
	return parts, nil
}

// Abort leaves the blocks to expire.
func (s *Store) Abort(ctx context.Context, key string) error {
	if err := begin(ctx, key); err != nil {
		return fmt.Errorf("abort %q: %w", key, err)
	}
	return nil
}
