// Package fakeazure is a stand-in for Azure Blob Storage: the part of its REST API that
// azureblob uses, in this process. It is for tests with more blocks than Azurite can stand, and
// for benchmarks, where Azurite is the bottleneck itself.
//
// It knows the containers it is given and those that are created through the API, block blobs
// with Put Block, Put Block List, Get Block List, Put Blob, Get Blob, Get Blob Properties and
// Delete Blob, and List Blobs. Conditions, metadata, content type, ranges and the checksums of
// a request's body are heeded as Azure's documentation says:
//
//   - a block's CRC-64 or MD5 is compared with what arrived, before the block is staged;
//   - the ids of a blob's uncommitted blocks have one length, and there are at most 100,000;
//   - a block of no bytes is refused, which Azurite takes;
//   - uncommitted blocks are listed by name, are no blob that could be read or deleted, and are
//     dropped when the blob is committed or put.
//
// It asks for no credential and checks none: a shared key, a signature and nothing at all are
// taken alike. It has no leases, snapshots, versions, tags, tiers, or expiry of blocks, and
// answers 501 to what it doesn't know.
//
// # Null
//
// With Options.Null it is a sink: it checks and counts what arrives and keeps none of it, only
// the names and lengths of blocks and blobs. So everything works but reading a blob's content.
// Bodies are read into buffers that are used again, and their checksums need not be computed
// (Options.SkipChecksum): what it costs is next to nothing, however much is sent.
package fakeazure
