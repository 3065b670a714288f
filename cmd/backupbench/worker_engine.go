package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/azureblob"
)

// container is a client of the sink, with the transport that azureblob recommends.
func (c *workerCmd) container() (*container.Client, error) {
	config, err := trust(c.Cert)
	if err != nil {
		return nil, err
	}
	o := azureblob.ClientOptions()
	client, ok := o.Transport.(*http.Client)
	if !ok {
		return nil, fmt.Errorf("azureblob's transport is a %T", o.Transport)
	}
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("azureblob's transport is a %T", client.Transport)
	}
	transport.TLSClientConfig = config
	return container.NewClientWithNoCredential(c.Sink+"/account/"+containerName, o)
}

func (c *workerCmd) store() (*azureblob.Store, error) {
	client, err := c.container()
	if err != nil {
		return nil, err
	}
	return azureblob.New(client, nil)
}

// engine uploads the export with package blob, CRC-64 and SHA-256 included. The journal is
// called as often as by a task, and writes nothing.
func (c *workerCmd) engine(ctx context.Context) ([]byte, error) {
	store, err := c.store()
	if err != nil {
		return nil, err
	}
	body, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	o := &blob.UploadOptions{
		PartSize: int64(c.Part), Concurrency: c.Concurrency,
		Journal: func(context.Context, *blob.Checkpoint) error { return nil },
	}
	_, _ = rand.Read(o.UploadID[:]) // it never fails
	_, _ = rand.Read(o.Token[:])
	key := "engine/" + c.Name
	content, err := blob.Stage(ctx, store, key, body, o)
	if err != nil {
		return nil, err
	}
	return content.SHA256[:], blob.Commit(ctx, store, key, o.UploadID, content, "application/octet-stream")
}
