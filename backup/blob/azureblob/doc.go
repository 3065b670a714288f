// Package azureblob is a blob.Store in a container of Azure Blob Storage.
//
// The caller makes the container's client, with whatever credential: a
// connection string, a shared key, a shared access signature, or a token of
// package azidentity. [ClientOptions] are good options for it:
//
//	client, err := container.NewClient(url, credential, azureblob.ClientOptions())
//	store, err := azureblob.New(client, nil)
//
// Parts are uncommitted blocks of a block blob, with the part's id as the block's
// id and a CRC-64 that Azure checks on arrival. Commit is Put Block List under
// the condition that no blob is there. Uncommitted blocks that nobody commits
// expire seven days after the last one was staged; Abort leaves them to that,
// since the other way to get rid of them, an empty list, would show an empty
// object for a moment.
//
// Every call has a deadline of its own, and retries that the store sets per call;
// the client's retry options aren't used. Errors name what failed, the status,
// Azure's code and the request's id, in one line and without the query of any
// URL, which may hold a signature.
package azureblob
