// Command backupbench measures what a backup costs: processor time, memory and speed.
//
//	go run ./cmd/backupbench                                           all, about 5 minutes
//	go run ./cmd/backupbench --only engine,task,unhashed,sha256        some of it
//	go run ./cmd/backupbench --size 1GiB,20GiB --only engine,task --network plain --runs 1
//	go run ./cmd/backupbench --gate --size 512MiB --runs 3             what CI runs
//
// Source, store and worker are three processes, since only then the worker's processor time and
// memory can be told from theirs. The store is internal/fakeazure: it speaks Put Block and Put Block
// List and keeps nothing. By default it compares no checksums either, which would take its
// share of the same processors; --checksum makes it. The source sends random-looking bytes with
// Content-Length. Postgres is the one that DATABASE_URL names, in a schema that is dropped at the
// end, or one that is started.
//
// # What is compared
//
//   - discard reads the export and forgets it: the floor of everything that reads it. file writes
//     it to a file, without fsync.
//   - unhashed is the smallest upload there is: azblob's StageBlock with the same parts, buffers
//     and transport as ours, and no checksum, journal, proof or retry of ours.
//   - sha256 hashes as many bytes from memory, with the same code as the engine.
//   - engine is blob.Stage and blob.Commit through azureblob, CRC-64 and SHA-256 included.
//   - task is a whole backup of one task: planned, exported through httpexport, journaled, gated,
//     committed and sealed by River's jobs.
//   - rclone is `rclone copyurl` with its default settings, where rclone is installed. The numbers
//     below are of v1.76.0: go install github.com/rclone/rclone@v1.76.0
//
// Each is run several times, all of them in turns. The digests that sha256, engine and task
// compute must be the same, and the store must have been sent all bytes: otherwise the benchmark
// fails.
//
// # How it is measured
//
// Processor time is user and system time of the worker's process as the kernel accounts it; that of
// our own workers runs from the first request, or from asking for the backup with the workers
// running, to the end of the work. The column "process" is that of the whole process, its start and
// end included. Memory is the most that the process has had (VmHWM on Linux). MB is 10^6 bytes.
//
// What is compared with rclone's command: the engine's process, which starts, copies and ends as
// that does; and a task, from asking for the backup to its end, as its row has it. A worker stands
// there and waits for tasks, so that its start and end are no part of one, and it has made three
// backups of one byte before: connections to Postgres and the store are there, as they are in a
// worker that is in use; the one to the source isn't. In the table rclone's speed is without what
// `rclone version` takes (0.06 s); compared with that, a task takes 0.01 more of rclone's time
// than the targets say.
//
// The network "distant" is "delay" with --distant parts of --distant-part at a time, 12 of 4 MiB by
// default, which suits a store that is far away.
//
// The targets compare the least of all runs, because what else a machine does only adds. --gate ends
// with status 1 when one for processor time or memory is missed; before that it runs up to three
// times as many rounds. One that nothing was measured for is missed. Speed is printed and not gated: it is the machine's.
//
// # Results
//
// Two virtual processors (Intel Sapphire Rapids), Linux 6.18, Go 1.26.8; source, store, Postgres and
// worker share them.
//
// Of 5 runs, each network in a call of its own. SHA-256 alone took 0.56 or 0.57 s in the first three
// calls. The last one, 12 x 4 MiB, was on a slower day, on which it took 0.61 s:
//
//	| Network              | Size  | What                            | MB/s best | median | CPU s/GiB best | median | process | peak MiB |
//	| -------------------- | ----- | ------------------------------- | --------: | -----: | -------------: | -----: | ------: | -------: |
//	| –                    | 1 GiB | SHA-256 alone, in memory        |      1918 |   1854 |           0.56 |   0.58 |    0.57 |       15 |
//	| HTTP                 | 1 GiB | read only (io.Discard)          |      4850 |   4368 |           0.15 |   0.17 |    0.16 |       16 |
//	| HTTP                 | 1 GiB | local file, no fsync            |      2453 |   2402 |           0.40 |   0.41 |    0.41 |       16 |
//	| HTTP                 | 1 GiB | unhashed upload                 |      1922 |   1907 |           0.51 |   0.53 |    0.51 |       63 |
//	| HTTP                 | 1 GiB | **engine** (blob.Stage, Commit) |      1248 |   1187 |           1.17 |   1.19 |    1.17 |       61 |
//	| HTTP                 | 1 GiB | **whole River task**            |      1155 |   1132 |           1.15 |   1.22 |    1.20 |       66 |
//	| HTTP                 | 1 GiB | rclone copyurl                  |       502 |    481 |           3.52 |   3.60 |    3.52 |      107 |
//	| TLS                  | 1 GiB | read only (io.Discard)          |      2015 |   1678 |           0.47 |   0.56 |    0.47 |       18 |
//	| TLS                  | 1 GiB | local file, no fsync            |      1155 |   1126 |           0.91 |   0.95 |    0.92 |       18 |
//	| TLS                  | 1 GiB | unhashed upload                 |       832 |    804 |           1.29 |   1.34 |    1.30 |       66 |
//	| TLS                  | 1 GiB | **engine** (blob.Stage, Commit) |       660 |    610 |           1.97 |   2.14 |    1.98 |       63 |
//	| TLS                  | 1 GiB | **whole River task**            |       618 |    605 |           2.07 |   2.15 |    2.14 |       67 |
//	| TLS                  | 1 GiB | rclone copyurl                  |       374 |    366 |           4.28 |   4.35 |    4.28 |      110 |
//	| HTTP, +50ms          | 1 GiB | read only (io.Discard)          |      3731 |   3627 |           0.16 |   0.16 |    0.16 |       16 |
//	| HTTP, +50ms          | 1 GiB | local file, no fsync            |      2325 |   2170 |           0.41 |   0.43 |    0.42 |       16 |
//	| HTTP, +50ms          | 1 GiB | unhashed upload                 |       558 |    554 |           0.63 |   0.64 |    0.64 |       63 |
//	| HTTP, +50ms          | 1 GiB | **engine** (blob.Stage, Commit) |       529 |    527 |           1.41 |   1.46 |    1.41 |       61 |
//	| HTTP, +50ms          | 1 GiB | **whole River task**            |       493 |    488 |           1.43 |   1.48 |    1.53 |       66 |
//	| HTTP, +50ms          | 1 GiB | rclone copyurl                  |       412 |    407 |           3.64 |   3.67 |    3.64 |      131 |
//	| HTTP, +50ms, 12 x 4 MiB | 1 GiB | unhashed upload              |       751 |    693 |           0.94 |   1.31 |    0.97 |       79 |
//	| HTTP, +50ms, 12 x 4 MiB | 1 GiB | **engine** (blob.Stage, Commit) |    683 |    627 |           1.70 |   1.96 |    1.72 |       74 |
//	| HTTP, +50ms, 12 x 4 MiB | 1 GiB | **whole River task**         |       563 |    538 |           1.92 |   1.98 |    2.21 |       79 |
//	| HTTP, +50ms, 12 x 4 MiB | 1 GiB | rclone copyurl               |       320 |    299 |           4.62 |   5.03 |    4.62 |      126 |
//
//	| Target                                                            | measured | at most | met    |
//	| ----------------------------------------------------------------- | -------: | ------: | -----: |
//	| CPU of engine / (unhashed + SHA-256), HTTP, 1 GiB                 |     1.09 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, 1 GiB                   |     1.08 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, 1 GiB                   |     0.33 |    0.50 |    yes |
//	| CPU of task / rclone's, HTTP, 1 GiB                               |     0.33 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, 1 GiB                  |     0.40 |    0.60 |    yes |
//	| time of task / rclone's, HTTP, 1 GiB                              |     0.42 |    0.60 |    yes |
//	| CPU of engine / (unhashed + SHA-256), TLS, 1 GiB                  |     1.06 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), TLS, 1 GiB                    |     1.12 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, TLS, 1 GiB                    |     0.46 |    0.50 |    yes |
//	| CPU of task / rclone's, TLS, 1 GiB                                |     0.48 |    0.50 |    yes |
//	| time of engine's process / rclone's, TLS, 1 GiB                   |     0.56 |    0.60 |    yes |
//	| time of task / rclone's, TLS, 1 GiB                               |     0.59 |    0.60 |    yes |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 1 GiB          |     1.17 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 1 GiB            |     1.19 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 1 GiB            |     0.39 |    0.50 |    yes |
//	| CPU of task / rclone's, HTTP, +50ms, 1 GiB                        |     0.39 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 1 GiB           |     0.77 |    0.60 | **no** |
//	| time of task / rclone's, HTTP, +50ms, 1 GiB                       |     0.82 |    0.60 | **no** |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 12 x 4 MiB, 1 GiB |  1.10 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 12 x 4 MiB, 1 GiB |    1.24 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 12 x 4 MiB, 1 GiB |    0.37 |    0.50 |    yes |
//	| CPU of task / rclone's, HTTP, +50ms, 12 x 4 MiB, 1 GiB            |     0.42 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 12 x 4 MiB, 1 GiB |   0.46 |    0.60 |    yes |
//	| time of task / rclone's, HTTP, +50ms, 12 x 4 MiB, 1 GiB           |     0.56 |    0.60 |    yes |
//	| memory of engine's process, HTTP, 1 GiB                           |   61 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, 1 GiB                             |   66 MiB |  80 MiB |    yes |
//	| memory of engine's process, TLS, 1 GiB                            |   63 MiB |  80 MiB |    yes |
//	| memory of task's process, TLS, 1 GiB                              |   67 MiB |  80 MiB |    yes |
//	| memory of engine's process, HTTP, +50ms, 1 GiB                    |   61 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, +50ms, 1 GiB                      |   66 MiB |  80 MiB |    yes |
//	| memory of engine's process, HTTP, +50ms, 12 x 4 MiB, 1 GiB        |   74 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, +50ms, 12 x 4 MiB, 1 GiB          |   79 MiB |  80 MiB |    yes |
//
// Memory is flat: with 20 GiB the engine's process has 62 MiB at most, and the task's 67 (1 GiB: 61
// and 66); the target is 80.
//
// What isn't met, and what is close:
//
//   - The time with 50 ms to each request can't be met with four parts of 8 MiB at a time: no more than
//     32 MiB are under way in a round trip, 50 ms and the 8 ms of a part, which makes 580 MB/s at most.
//     The unhashed upload takes 0.74 of rclone's time itself, and rclone sends 16 parts of 4 MiB at once,
//     with twice the memory. For a store that is so far away twelve parts of 4 MiB at a time are
//     recommended (workers.partSize and workers.concurrency): these rows meet every target, the one
//     for memory, too. With eleven a task took 0.60 of rclone's time and had 75 MiB; with eight of
//     8 MiB it took 0.54, and had 98.
//   - The engine's processor time there is close to its target: 1.17 to 1.22 of what it is compared with,
//     by the run. With twelve of 4 MiB it is 1.02 to 1.10.
//   - Besides its parts a backup makes six round trips, one after the other: the export, the
//     object's commit and its proof, and the manifest's part, commit and proof. With the wait for
//     the last part they are 0.35 s at that distance, whatever the size.
//   - With TLS a task takes 0.58 to 0.60 of rclone's time from call to call, and the engine 0.56 to 0.59.
//     All processes together use both processors up, the source's and the store's too: they idle for 3 to
//     4 % of a run. What a task takes besides its export's bytes is 0.029 s: until the first (asking,
//     planning, the claims, the source's answer), and after the last part (gate, commit, proof,
//     manifest). It is 0.044 s in a process that has made no backup before, which has to connect to
//     Postgres and to have its statements prepared.
//
// What was tried with the engine over TLS and left out; numbers are the least of three to five runs in
// turns, or medians where it says how many rounds:
//
//   - Records gathered to 128 KiB under crypto/tls: a seventh of the write calls, and no gain: in ten
//     interleaved rounds a task took 0.61 of rclone's time with and without, and 2.23 CPU seconds against
//     2.15. It takes a connection that net/http doesn't know for TLS.
//   - Reads of 128 KiB below crypto/tls: half the read calls, 2.05 CPU seconds instead of 2.03.
//   - Hashing by the goroutine that reads, just after reading: 1.97 CPU seconds instead of 2.02, over HTTP
//     1.13 instead of 1.25. But reading waits for it then: 1.76 s instead of 1.65.
//   - Hashing by a goroutine of its own, in pieces of 256 KiB as they come instead of whole parts: in eight
//     rounds 1.84 s with and without, and 2.27 CPU seconds instead of 2.23.
//   - Buffers in huge pages: to touch 40 MiB for the first time takes 5 ms instead of 16, but a run took as
//     long: in 31 rounds, of engine and task, over TLS and HTTP, 0.01 s longer on average.
//   - Bringing a piece of a part into the cache before net/http copies it, as before hashing: in nine rounds
//     1.87 s instead of 1.85.
//   - These three together: in eight rounds a task took 1.89 s instead of 1.92, which is less than one round
//     differs from the next.
//
// SHA-256 depends on where the memory is: 1.7 GB/s in the core's cache and 1.1 GB/s elsewhere. The
// engine brings parts into the cache before it hashes them; without that its ratio was 1.28.
package main
