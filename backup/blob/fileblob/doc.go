// Package fileblob is a blob.Store in a directory. Objects are plain files: what
// is stored at the key "a/b" is the file a/b.
//
// Several processes may use one directory at once, on a file system with hard
// links, rename and flock. Nothing that the caller hasn't committed is ever in
// view, after a crash at any point and after a power failure.
//
// # Layout
//
//	a/b                         the object a/b
//	.staging/<hash of key>/     parts staged for a key, one file each; and
//	                            temporary files
//	.staging/<hash>.deleting/   there while the object of the key is deleted
//	.meta/<2 digits>/<hash>     the sidecar of a key: content type, metadata, parts
//	.meta/<2 digits>/lock       taken while objects of that shard come and go
//
// # How an object appears
//
// Commit copies the parts into a new file, never a staged file itself: a worker
// that was given up might still write to that. Then, under the lock, with no
// object at the key, it renames the sidecar into its place, and links the file
// to its name, which fails when there is one already. Both are synced before the
// next step. So an object in view has its own sidecar; a crash in between leaves
// a sidecar without an object, which counts for nothing and is replaced by the
// next commit. So does one in the middle of a delete. What is in .staging is swept when
// it is a week old, and such a sidecar, which has the key in it, goes with it.
//
// # What it doesn't do
//
// A key can't be a directory of another: "a" and "a/b" exclude each other. A
// segment of a key has at most 255 bytes. While an object is committed it needs
// its size twice, except on file systems that share blocks between copies.
package fileblob
