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
// Of 5 runs:
//
//	| Network              | Size  | What                            | MB/s best | median | CPU s/GiB best | median | process | peak MiB |
//	| -------------------- | ----- | ------------------------------- | --------: | -----: | -------------: | -----: | ------: | -------: |
//	| –                    | 1 GiB | SHA-256 alone, in memory        |      1906 |   1820 |           0.57 |   0.59 |    0.57 |       15 |
//	| HTTP                 | 1 GiB | read only (io.Discard)          |      4540 |   4418 |           0.16 |   0.17 |    0.16 |       16 |
//	| HTTP                 | 1 GiB | local file, no fsync            |      2274 |   2185 |           0.43 |   0.44 |    0.44 |       16 |
//	| HTTP                 | 1 GiB | unhashed upload                 |      1796 |   1694 |           0.58 |   0.60 |    0.59 |       63 |
//	| HTTP                 | 1 GiB | **engine** (blob.Stage, Commit) |      1130 |   1062 |           1.27 |   1.35 |    1.28 |       61 |
//	| HTTP                 | 1 GiB | **whole River task**            |      1068 |   1001 |           1.31 |   1.36 |    1.32 |       64 |
//	| HTTP                 | 1 GiB | rclone copyurl                  |       485 |    455 |           3.61 |   3.79 |    3.61 |      111 |
//	| TLS                  | 1 GiB | read only (io.Discard)          |      1945 |   1655 |           0.49 |   0.59 |    0.50 |       18 |
//	| TLS                  | 1 GiB | local file, no fsync            |      1147 |   1066 |           0.92 |   0.95 |    0.93 |       18 |
//	| TLS                  | 1 GiB | unhashed upload                 |       805 |    773 |           1.31 |   1.40 |    1.32 |       65 |
//	| TLS                  | 1 GiB | **engine** (blob.Stage, Commit) |       625 |    583 |           2.09 |   2.20 |    2.10 |       62 |
//	| TLS                  | 1 GiB | **whole River task**            |       620 |    574 |           2.08 |   2.24 |    2.10 |       65 |
//	| TLS                  | 1 GiB | rclone copyurl                  |       377 |    355 |           4.22 |   4.44 |    4.22 |      110 |
//	| HTTP, +50ms          | 1 GiB | read only (io.Discard)          |      3712 |   3363 |           0.17 |   0.18 |    0.17 |       16 |
//	| HTTP, +50ms          | 1 GiB | local file, no fsync            |      2134 |   1949 |           0.43 |   0.46 |    0.44 |       16 |
//	| HTTP, +50ms          | 1 GiB | unhashed upload                 |       552 |    542 |           0.68 |   0.72 |    0.69 |       63 |
//	| HTTP, +50ms          | 1 GiB | **engine** (blob.Stage, Commit) |       527 |    514 |           1.53 |   1.53 |    1.53 |       61 |
//	| HTTP, +50ms          | 1 GiB | **whole River task**            |       482 |    455 |           1.52 |   1.58 |    1.54 |       64 |
//	| HTTP, +50ms          | 1 GiB | rclone copyurl                  |       403 |    382 |           3.69 |   3.89 |    3.69 |      130 |
//	| HTTP, +50ms, 8 parts | 1 GiB | unhashed upload                 |       999 |    989 |           0.64 |   0.68 |    0.65 |       95 |
//	| HTTP, +50ms, 8 parts | 1 GiB | **engine** (blob.Stage, Commit) |       846 |    825 |           1.33 |   1.39 |    1.34 |       93 |
//	| HTTP, +50ms, 8 parts | 1 GiB | **whole River task**            |       724 |    704 |           1.36 |   1.43 |    1.38 |       96 |
//	| HTTP, +50ms, 8 parts | 1 GiB | rclone copyurl                  |       398 |    385 |           3.75 |   3.89 |    3.75 |      129 |
//
//	| Target                                                                 | measured | at most |    met |
//	| ---------------------------------------------------------------------- | -------: | ------: | -----: |
//	| CPU of engine / (unhashed + SHA-256), HTTP, 1 GiB                      |     1.11 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, 1 GiB                        |     1.14 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, 1 GiB                        |     0.35 |    0.50 |    yes |
//	| CPU of task's process / rclone's, HTTP, 1 GiB                          |     0.37 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, 1 GiB                       |     0.42 |    0.60 |    yes |
//	| time of task / rclone's without its start, HTTP, 1 GiB                 |     0.45 |    0.60 |    yes |
//	| CPU of engine / (unhashed + SHA-256), TLS, 1 GiB                       |     1.11 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), TLS, 1 GiB                         |     1.11 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, TLS, 1 GiB                         |     0.50 |    0.50 |    yes |
//	| CPU of task's process / rclone's, TLS, 1 GiB                           |     0.50 |    0.50 |    yes |
//	| time of engine's process / rclone's, TLS, 1 GiB                        |     0.59 |    0.60 |    yes |
//	| time of task / rclone's without its start, TLS, 1 GiB                  |     0.61 |    0.60 | **no** |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 1 GiB               |     1.22 |    1.20 | **no** |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 1 GiB                 |     1.22 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 1 GiB                 |     0.42 |    0.50 |    yes |
//	| CPU of task's process / rclone's, HTTP, +50ms, 1 GiB                   |     0.42 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 1 GiB                |     0.75 |    0.60 | **no** |
//	| time of task / rclone's without its start, HTTP, +50ms, 1 GiB          |     0.84 |    0.60 | **no** |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 8 parts, 1 GiB      |     1.11 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 8 parts, 1 GiB        |     1.13 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 8 parts, 1 GiB        |     0.36 |    0.50 |    yes |
//	| CPU of task's process / rclone's, HTTP, +50ms, 8 parts, 1 GiB          |     0.37 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 8 parts, 1 GiB       |     0.46 |    0.60 |    yes |
//	| time of task / rclone's without its start, HTTP, +50ms, 8 parts, 1 GiB |     0.55 |    0.60 |    yes |
//	| memory of engine's process, HTTP, 1 GiB                                |   61 MiB |  80 MiB |    yes |
//	| memory of engine's process, TLS, 1 GiB                                 |   62 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, 1 GiB                                  |   64 MiB |  80 MiB |    yes |
//	| memory of task's process, TLS, 1 GiB                                   |   65 MiB |  80 MiB |    yes |
//	| memory of engine's process, HTTP, +50ms, 1 GiB                         |   61 MiB |  80 MiB |    yes |
//	| memory of task's process, HTTP, +50ms, 1 GiB                           |   64 MiB |  80 MiB |    yes |
//
// Memory is flat: with 20 GiB the engine's process has 61 MiB at most, and the task's 64 (1 GiB: 60
// and 63); the target is 80.
//
// What isn't met:
//
//   - With 50 ms to each request and four parts of 8 MiB at a time, 1 GiB is 32 round trips and
//     their transfers: at most 32 MiB in 50 ms and the 8 ms of a part, 580 MB/s. The unhashed
//     upload takes 0.72 of rclone's time itself. rclone sends 16 parts of 4 MiB at once, and has
//     twice the memory. With eight at a time the target is met, with 96 MiB. --part 4MiB
//     --concurrency 9 has the buffers of four times 8 MiB and takes 0.63 of rclone's time for the
//     engine, 0.70 for a task.
//   - The engine's processor time there is 1.17 to 1.22 of what it is compared with, by the run;
//     with eight at a time 1.11.
//   - Besides its parts a backup makes six round trips, one after the other: the export, the
//     object's commit and its proof, and the manifest's part, commit and proof. With the wait for
//     the last part they are 0.35 s at that distance, whatever the size.
//   - With TLS all processes together use both processors up, the source's and the store's too. A
//     task takes 0.61 of rclone's time, and the engine 0.59.
//
// Compared by whole processes a task takes 0.48 of rclone's time over HTTP, 0.63 over TLS, 0.86 with
// 50 ms, and 0.57 with eight parts at a time.
//
// SHA-256 depends on where the memory is: 1.7 GB/s in the core's cache and 1.1 GB/s elsewhere. The
// engine brings parts into the cache before it hashes them; without that its ratio was 1.28.
package main
