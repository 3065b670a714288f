// Package blob stores streams of unknown length as objects, provably whole, in
// bounded memory.
//
// [Store] is the interface of a destination: an Azure container (azureblob), a
// directory (fileblob), or one of your own. An object is staged in parts that
// nobody can see and then committed: it becomes visible at once, whole, and
// never in the place of another. Package blobtest checks that a Store keeps its
// promises.
//
// [Stage] is the engine. It reads a body to its end, cuts it into parts, hashes
// it and stages the parts several at a time:
//
//	body ─► part buffer ─┬─► SHA-256 of the whole, in order ────┐
//	        (Buffers)    └─► CRC-64 of the part ─► StagePart ───┴─► Checkpoint ─► Journal
//
// What is staged and hashed without a gap is a [Checkpoint]. The caller keeps
// checkpoints in a database and hands the last one to the next attempt, which
// goes on behind it; [Resumable] finds out whether the store still has the
// parts. The digest is then that of the whole stream nevertheless, since a
// checkpoint carries the hash's state.
//
// Stage shows nothing. [Commit] makes the content visible and then proves it: it
// compares what the store says about the object with what was staged. It may be
// called again after any error, by another process too: an answer that was lost
// on the way is told from an object of somebody else by the object's metadata.
//
// # The end of a stream
//
// Only io.EOF itself ends a stream, never an error that wraps it: net/http gives
// a url.Error around io.EOF for a connection that was dropped. A part is filled
// by a loop of our own, since io.ReadFull returns io.ErrUnexpectedEOF for a
// short last part and for a stream that was cut alike. Whether the source had
// really come to its end when it said io.EOF is for the caller to judge, between
// Stage and Commit.
//
// # Sources with a cursor
//
// A source that is read in pages, or by a token of its own, can go on only at
// certain places: UploadOptions.Cursor tells them. A part then ends at the mark
// behind which the next page would hardly fit. Where one ends in the midst of a
// page nevertheless, what lies before the last mark is made a part of its own, so
// that a checkpoint can end there. Pages that are nearly as large as parts, or
// slightly larger, can make twice as many parts as there would be without.
//
// # Memory
//
// One upload holds at most max(PartSize × (Concurrency + 1), 2 × the size of its
// current part) bytes of buffers. They lie outside the garbage collected heap
// where the system allows it, so that they don't double under the collector, and
// go back to the system when the last upload ends. [Buffers] bounds them over
// all uploads of a process.
package blob
