package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
	"github.com/sitebackup/sitebackup/cmd/backupd/internal/config"
)

// OpenStore opens the destination that a configuration names, and finds out that
// it is there and can be written to.
func OpenStore(ctx context.Context, d *config.Destination) (blob.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	impatient, err := openStore(ctx, d, &azureblob.Options{MaxRetries: checkRetries})
	if err != nil {
		return nil, err
	}
	if err := impatient.Check(ctx); err != nil {
		return nil, fmt.Errorf("use the destination: %w", err)
	}
	return openStore(ctx, d, nil)
}

func openStore(ctx context.Context, d *config.Destination, opts *azureblob.Options) (blob.Store, error) {
	if d.File != nil {
		return fileblob.New(d.File.Path, &fileblob.Options{Create: d.File.Create})
	}
	if d.Azure == nil {
		return nil, errors.New("no destination is configured")
	}
	client, err := containerClient(d.Azure)
	if err != nil {
		return nil, err
	}
	if a := d.Azure; a.ConnectionString.IsZero() && a.SASURL.IsZero() && a.SharedKey.IsZero() {
		if opts, err = delegating(d.Azure, opts); err != nil {
			return nil, err
		}
	}
	if d.Azure.Create {
		if err := createContainer(ctx, client, d.Azure); err != nil {
			return nil, err
		}
	}
	return azureblob.New(client, opts)
}

// containerClient makes the SDK's client with the one credential that there is.
// The SDK's own errors may quote a secret that it couldn't read.
func containerClient(a *config.AzureDestination) (*container.Client, error) {
	address := fmt.Sprintf("%s/%s", strings.TrimRight(a.AccountURL, "/"), a.Container)
	bad := func(key string) error {
		return fmt.Errorf("open Azure container %q: %s can't be used: its value is not a valid one", a.Container, key)
	}
	switch {
	case !a.ConnectionString.IsZero():
		client, err := container.NewClientFromConnectionString(a.ConnectionString.Value(), a.Container, azureblob.ClientOptions())
		if err != nil {
			return nil, bad("connectionString " + a.ConnectionString.String())
		}
		return client, nil
	case !a.SASURL.IsZero():
		u, err := url.Parse(a.SASURL.Value())
		if err != nil || u.Host == "" || u.Query().Get("sig") == "" {
			return nil, bad("sasURL " + a.SASURL.String())
		}
		client, err := container.NewClientWithNoCredential(u.String(), azureblob.ClientOptions())
		if err != nil {
			return nil, bad("sasURL " + a.SASURL.String())
		}
		return client, nil
	case !a.SharedKey.IsZero():
		credential, err := container.NewSharedKeyCredential(a.Account, a.SharedKey.Value())
		if err != nil {
			return nil, bad("sharedKey " + a.SharedKey.String())
		}
		return container.NewClientWithSharedKeyCredential(address, credential, azureblob.ClientOptions())
	}
	credential, err := identity(a)
	if err != nil {
		return nil, err
	}
	return container.NewClient(address, credential, azureblob.ClientOptions())
}

func identity(a *config.AzureDestination) (*azidentity.DefaultAzureCredential, error) {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, fmt.Errorf("open Azure container %q: find the identity of this environment: %w", a.Container, err)
	}
	return credential, nil
}

// delegating lets the identity of this environment sign URLs.
func delegating(a *config.AzureDestination, opts *azureblob.Options) (*azureblob.Options, error) {
	credential, err := identity(a)
	if err != nil {
		return nil, err
	}
	var o azureblob.Options
	if opts != nil {
		o = *opts
	}
	o.Service, err = service.NewClient(a.AccountURL, credential, &service.ClientOptions{ClientOptions: azureblob.ClientOptions().ClientOptions})
	if err != nil {
		return nil, fmt.Errorf("open Azure container %q: accountURL can't be used: it is not a valid one", a.Container)
	}
	return &o, nil
}

func createContainer(ctx context.Context, client *container.Client, a *config.AzureDestination) error {
	_, err := client.Create(policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: checkRetries}), nil)
	if err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return fmt.Errorf("create Azure container %q: %w", a.Container, azureReason(err))
	}
	return nil
}
