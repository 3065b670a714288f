package azureblob

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

const (
	// keyLife is for how long a user delegation key is asked: Azure gives at most seven
	// days.
	keyLife = 24 * time.Hour

	// keySkew is how far the clocks of this machine and Azure's may be apart.
	keySkew = 15 * time.Minute
)

// delegation signs with a user delegation key, which Azure gives to an identity that
// may generate one, and for which that identity answers.
// https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
type delegation struct {
	service *service.Client
	turn    chan struct{} // who holds it may read and renew the key
	key     *service.UserDelegationCredential
	until   time.Time
}

func newDelegation(s *service.Client) *delegation {
	if s == nil {
		return nil
	}
	return &delegation{service: s, turn: make(chan struct{}, 1)}
}

// sign returns u, an object's URL, with a signature that is good until expiry.
func (d *delegation) sign(ctx context.Context, u string, now, expiry time.Time) (string, error) {
	if expiry.After(now.Add(keyLife)) {
		return "", fmt.Errorf("a URL can't be valid for more than %s", keyLife)
	}
	parts, err := blob.ParseURL(u)
	if err != nil {
		return "", fmt.Errorf("read the URL: %w", err)
	}
	key, err := d.keyUntil(ctx, now, expiry)
	if err != nil {
		return "", err
	}
	parts.SAS, err = sas.BlobSignatureValues{
		Protocol:      sas.ProtocolHTTPS,
		StartTime:     now.Add(-keySkew).UTC(),
		ExpiryTime:    expiry.UTC(),
		Permissions:   (&sas.BlobPermissions{Read: true}).String(),
		ContainerName: parts.ContainerName,
		BlobName:      parts.BlobName,
	}.SignWithUserDelegation(key)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return parts.String(), nil
}

// keyUntil is a key that is good at least until then. One at a time asks for a new one;
// the others wait for it.
func (d *delegation) keyUntil(ctx context.Context, now, until time.Time) (*service.UserDelegationCredential, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.key != nil && !d.until.Before(until) {
		return d.key, nil
	}
	// Signatures that are asked for meanwhile shall fit, too.
	start, end := now.Add(-keySkew).UTC(), now.Add(keyLife+time.Hour).UTC()
	from, to := start.Format(sas.TimeFormat), end.Format(sas.TimeFormat)
	key, err := d.service.GetUserDelegationCredential(ctx, service.KeyInfo{Start: &from, Expiry: &to}, nil)
	if err != nil {
		return nil, fmt.Errorf("get a user delegation key, which takes the role Storage Blob Delegator: %w", explain(err))
	}
	d.key, d.until = key, end.Truncate(time.Second)
	return key, nil
}
