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
// end included, and it and rclone's are what is compared with each other. Memory is the most that
// the process has had (VmHWM on Linux). MB is 10^6 bytes.
//
// Time is compared like with like. The engine's process is compared with rclone's: each starts,
// copies and ends. A worker stands there and waits for tasks, so that a task's time is that from
// asking for the backup to its end, as its row has it; rclone's is then without what `rclone
// version` takes (0.06 s), and so is its speed in the table. What else the task's process takes is
// no part of a backup: to connect to Postgres, and to start and stop River's client, 0.04 s; and up
// to 0.25 s until River, which marks ended jobs in batches, tells that the last one has ended.
//
// The network "distant" is "delay" with --distant parts at a time, 8 by default, which suits a store
// that is far away. That takes more memory: the target for memory is of four.
//
// The targets compare the least of all runs, because what else a machine does only adds. --gate ends
// with status 1 when one for processor time or memory is missed; before that it runs up to three
// times as many rounds. Speed is printed and not gated: it is the machine's.
//
// # Results
//
// Two virtual processors (Intel Sapphire Rapids), Linux 6.18, Go 1.26.8; source, store, Postgres and
// worker share them.
//
// Of 5 runs, each network in a call of its own. SHA-256 alone took 0.55 s in all four calls:
//
//	| Network              | Size  | What                            | MB/s best | median | CPU s/GiB best | median | process | peak MiB |
//	| -------------------- | ----- | ------------------------------- | --------: | -----: | -------------: | -----: | ------: | -------: |
//	| –                    | 1 GiB | SHA-256 alone, in memory        |      1963 |   1952 |           0.55 |   0.55 |    0.56 |       14 |
//	| HTTP                 | 1 GiB | read only (io.Discard)          |      5351 |   4612 |           0.14 |   0.16 |    0.15 |       16 |
//	| HTTP                 | 1 GiB | local file, no fsync            |      2329 |   2230 |           0.42 |   0.44 |    0.43 |       16 |
//	| HTTP                 | 1 GiB | unhashed upload                 |      1893 |   1693 |           0.53 |   0.59 |    0.54 |       63 |
//	| HTTP                 | 1 GiB | **engine** (blob.Stage, Commit) |      1226 |   1131 |           1.16 |   1.25 |    1.17 |       61 |
//	| HTTP                 | 1 GiB | **whole River task**            |      1101 |   1044 |           1.26 |   1.27 |    1.27 |       64 |
//	| HTTP                 | 1 GiB | rclone copyurl                  |       512 |    506 |           3.37 |   3.40 |    3.37 |      105 |
//	| TLS                  | 1 GiB | read only (io.Discard)          |      2115 |   1688 |           0.46 |   0.53 |    0.47 |       17 |
//	| TLS                  | 1 GiB | local file, no fsync            |      1176 |   1128 |           0.90 |   0.94 |    0.91 |       18 |
//	| TLS                  | 1 GiB | unhashed upload                 |       845 |    811 |           1.28 |   1.32 |    1.29 |       65 |
//	| TLS                  | 1 GiB | **engine** (blob.Stage, Commit) |       657 |    648 |           1.98 |   2.01 |    1.99 |       62 |
//	| TLS                  | 1 GiB | **whole River task**            |       628 |    622 |           2.02 |   2.05 |    2.04 |       65 |
//	| TLS                  | 1 GiB | rclone copyurl                  |       384 |    378 |           4.14 |   4.19 |    4.14 |      111 |
//	| HTTP, +50ms          | 1 GiB | read only (io.Discard)          |      3845 |   3599 |           0.14 |   0.15 |    0.15 |       16 |
//	| HTTP, +50ms          | 1 GiB | local file, no fsync            |      2097 |   2058 |           0.42 |   0.44 |    0.43 |       16 |
//	| HTTP, +50ms          | 1 GiB | unhashed upload                 |       556 |    553 |           0.65 |   0.67 |    0.66 |       63 |
//	| HTTP, +50ms          | 1 GiB | **engine** (blob.Stage, Commit) |       533 |    529 |           1.42 |   1.45 |    1.43 |       61 |
//	| HTTP, +50ms          | 1 GiB | **whole River task**            |       483 |    479 |           1.46 |   1.49 |    1.48 |       64 |
//	| HTTP, +50ms          | 1 GiB | rclone copyurl                  |       419 |    411 |           3.55 |   3.59 |    3.55 |      132 |
//	| HTTP, +50ms, 8 parts | 1 GiB | read only (io.Discard)          |      3597 |   3557 |           0.15 |   0.16 |    0.16 |       16 |
//	| HTTP, +50ms, 8 parts | 1 GiB | local file, no fsync            |      2075 |   2005 |           0.42 |   0.44 |    0.43 |       16 |
//	| HTTP, +50ms, 8 parts | 1 GiB | unhashed upload                 |      1009 |   1000 |           0.61 |   0.64 |    0.62 |       95 |
//	| HTTP, +50ms, 8 parts | 1 GiB | **engine** (blob.Stage, Commit) |       865 |    842 |           1.31 |   1.33 |    1.31 |       93 |
//	| HTTP, +50ms, 8 parts | 1 GiB | **whole River task**            |       738 |    730 |           1.33 |   1.37 |    1.34 |       96 |
//	| HTTP, +50ms, 8 parts | 1 GiB | rclone copyurl                  |       419 |    416 |           3.54 |   3.57 |    3.54 |      132 |
//
//	| Target                                                                 | measured | at most |    met |
//	| ---------------------------------------------------------------------- | -------: | ------: | -----: |
//	| CPU of engine / (unhashed + SHA-256), HTTP, 1 GiB                      |     1.08 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, 1 GiB                        |     1.17 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, 1 GiB                        |     0.35 |    0.50 |    yes |
//	| CPU of task's process / rclone's, HTTP, 1 GiB                          |     0.38 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, 1 GiB                       |     0.41 |    0.60 |    yes |
//	| time of task / rclone's without its start, HTTP, 1 GiB                 |     0.47 |    0.60 |    yes |
//	| CPU of engine / (unhashed + SHA-256), TLS, 1 GiB                       |     1.08 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), TLS, 1 GiB                         |     1.10 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, TLS, 1 GiB                         |     0.48 |    0.50 |    yes |
//	| CPU of task's process / rclone's, TLS, 1 GiB                           |     0.49 |    0.50 |    yes |
//	| time of engine's process / rclone's, TLS, 1 GiB                        |     0.57 |    0.60 |    yes |
//	| time of task / rclone's without its start, TLS, 1 GiB                  |     0.61 |    0.60 | **no** |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 1 GiB               |     1.18 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 1 GiB                 |     1.22 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 1 GiB                 |     0.40 |    0.50 |    yes |
//	| CPU of task's process / rclone's, HTTP, +50ms, 1 GiB                   |     0.42 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 1 GiB                |     0.77 |    0.60 | **no** |
//	| time of task / rclone's without its start, HTTP, +50ms, 1 GiB          |     0.87 |    0.60 | **no** |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 8 parts, 1 GiB      |     1.13 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 8 parts, 1 GiB        |     1.14 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 8 parts, 1 GiB        |     0.37 |    0.50 |    yes |
//	| CPU of task's process / rclone's, HTTP, +50ms, 8 parts, 1 GiB          |     0.38 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 8 parts, 1 GiB       |     0.48 |    0.60 |    yes |
//	| time of task / rclone's without its start, HTTP, +50ms, 8 parts, 1 GiB |     0.57 |    0.60 |    yes |
//	| memory of engine's process, HTTP, 1 GiB                                |   61 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, 1 GiB                                  |   64 MiB |  80 MiB |    yes |
//	| memory of engine's process, TLS, 1 GiB                                 |   62 MiB |  80 MiB |    yes |
//	| memory of task's process, TLS, 1 GiB                                   |   65 MiB |  80 MiB |    yes |
//	| memory of engine's process, HTTP, +50ms, 1 GiB                         |   61 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, +50ms, 1 GiB                           |   64 MiB |  80 MiB |    yes |
//
// Memory is flat: with 20 GiB the engine's process has 61 MiB at most, and the task's 64 (1 GiB: 60
// and 63); the target is 80.
//
// What isn't met:
//
//   - The time with 50 ms to each request can't be met with four parts of 8 MiB at a time: no more than
//     32 MiB are under way in a round trip, 50 ms and the 8 ms of a part, which makes 580 MB/s at most.
//     The unhashed upload takes 0.74 of rclone's time itself, and rclone sends 16 parts of 4 MiB at once,
//     with twice the memory. For a store that is so far away eight parts at a time are recommended: these
//     rows, "8 parts", meet every target that they have, with 96 MiB; the one for memory is of four.
//     --part 4MiB --concurrency 9 has the buffers of four times 8 MiB, and took 0.63 of rclone's time for
//     the engine and 0.70 for a task.
//   - The engine's processor time there is close to its target: 1.17 to 1.22 of what it is compared with,
//     by the run. With eight at a time it is 1.11 to 1.13.
//   - Besides its parts a backup makes six round trips, one after the other: the export, the
//     object's commit and its proof, and the manifest's part, commit and proof. With the wait for
//     the last part they are 0.35 s at that distance, whatever the size.
//   - With TLS a task takes 0.59 to 0.63 of rclone's time from call to call, and the engine 0.56 to 0.59.
//     All processes together use both processors up, the source's and the store's too: they idle for 3 to
//     4 % of a run. What a task takes besides its export's bytes is 0.044 s: 0.022 until the first
//     (asking, planning, the claims, the source's answer), and 0.022 after the last part (gate, commit,
//     proof, manifest). A third of it is that it is its process's first: connections to Postgres, and
//     statements not prepared yet. Behind three tiny backups it is 0.029 s.
//
// Compared by whole processes a task takes 0.50 of rclone's time over HTTP, 0.64 over TLS, 0.88 with
// 50 ms, and 0.60 with eight parts at a time.
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
