package azureblob

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/sitebackup/sitebackup/backup/blob"
)

var (
	_ blob.Store  = (*Store)(nil)
	_ blob.Signer = (*Store)(nil)
)

// Store is a container of block blobs.
type Store struct {
	client *container.Client
	opts   Options
	name   string // the container's URL, without a query
	now    func() time.Time

	delegation *delegation // nil: none
}

// New makes a store of a container. It asks Azure nothing; Check does. opts may
// be nil.
func New(client *container.Client, opts *Options) (*Store, error) {
	if client == nil {
		return nil, errors.New("open azure store: client must not be nil")
	}
	name, err := withoutQuery(client.URL())
	if err != nil {
		return nil, errors.New("open azure store: the client's URL can't be read")
	}
	s := &Store{client: client, opts: opts.withDefaults(), name: name, now: systemTime}
	s.delegation = newDelegation(s.opts.Service)
	return s, nil
}

// withoutQuery removes from a URL what may be secret.
func withoutQuery(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", err
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return strings.TrimSuffix(u.String(), "/"), nil
}

// String is the container's URL, without a query.
func (s *Store) String() string { return s.name }

// checkName is the key that Check stages a part for. No object is ever there.
const checkName = "sitebackup-check"

// Check stages a block of a few bytes that nobody commits. Azure drops it after
// a week.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("check %s: %w", s, err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	bounded, cancel := s.opts.forOp(ctx)
	defer cancel()
	data := []byte("check\n")
	part := blob.Part{Size: int64(len(data)), CRC64: blob.Checksum(data)}
	return firstCause(ctx, s.stageBlock(bounded, s.blob(checkName), part, data))
}

// begin checks what every method checks first.
func begin(ctx context.Context, key string) error {
	if err := blob.ValidateKey(key); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// blob is the client of one object.
func (s *Store) blob(key string) *blockblob.Client {
	return s.client.NewBlockBlobClient(key)
}

// blockID is a part's id as Azure wants it: base64, and of one length for all
// blocks of a blob.
func blockID(id blob.PartID) string { return base64.StdEncoding.EncodeToString(id[:]) }

// parseBlockID reads what blockID wrote. Blocks of others have no such ids.
func parseBlockID(s *string) (id blob.PartID, ok bool) {
	if s == nil {
		return id, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(*s)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return blob.PartID(b), true
}
