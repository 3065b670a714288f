package blob_test

import "github.com/sitebackup/sitebackup/internal/memblob"

func newMemStore() *memblob.Store { return memblob.New() }
