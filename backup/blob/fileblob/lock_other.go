//go:build !unix

package fileblob

import (
	"context"
	"errors"
)

const canLock = false

func (s *Store) lock(context.Context, string) (func(), error) {
	return nil, errors.ErrUnsupported
}

func isNotDir(error) bool { return false }

func rmdir(string) error { return errors.ErrUnsupported }
