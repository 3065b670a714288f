// Command backupbench measures what a backup costs: processor time, memory and speed.
//
//	go run ./cmd/backupbench                                           all, about 4 minutes
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
//	| Network     | Size  | What                            | MB/s best | median | CPU s/GiB best | median | process | peak MiB |
//	| ----------- | ----- | ------------------------------- | --------: | -----: | -------------: | -----: | ------: | -------: |
//	| –           | 1 GiB | SHA-256 alone, in memory        |      1717 |   1695 |           0.63 |   0.63 |    0.63 |       14 |
//	| HTTP        | 1 GiB | read only (io.Discard)          |      4179 |   3944 |           0.17 |   0.18 |    0.18 |       16 |
//	| HTTP        | 1 GiB | local file, no fsync            |      2176 |   2076 |           0.45 |   0.47 |    0.46 |       16 |
//	| HTTP        | 1 GiB | unhashed upload                 |      1672 |   1585 |           0.60 |   0.64 |    0.61 |       63 |
//	| HTTP        | 1 GiB | **engine** (blob.Stage, Commit) |       983 |    945 |           1.41 |   1.46 |    1.42 |       61 |
//	| HTTP        | 1 GiB | **whole River task**            |       881 |    827 |           1.46 |   1.56 |    1.47 |       64 |
//	| HTTP        | 1 GiB | rclone copyurl                  |       422 |    412 |           4.00 |   4.04 |    4.00 |      115 |
//	| TLS         | 1 GiB | read only (io.Discard)          |      1897 |   1711 |           0.49 |   0.54 |    0.50 |       18 |
//	| TLS         | 1 GiB | local file, no fsync            |      1004 |    971 |           1.02 |   1.05 |    1.03 |       17 |
//	| TLS         | 1 GiB | unhashed upload                 |       729 |    705 |           1.50 |   1.51 |    1.51 |       65 |
//	| TLS         | 1 GiB | **engine** (blob.Stage, Commit) |       560 |    551 |           2.32 |   2.34 |    2.33 |       62 |
//	| TLS         | 1 GiB | **whole River task**            |       505 |    499 |           2.35 |   2.44 |    2.37 |       65 |
//	| TLS         | 1 GiB | rclone copyurl                  |       326 |    320 |           4.73 |   4.77 |    4.73 |      109 |
//	| HTTP, +50ms | 1 GiB | read only (io.Discard)          |      3485 |   3256 |           0.17 |   0.18 |    0.18 |       16 |
//	| HTTP, +50ms | 1 GiB | local file, no fsync            |      2010 |   1976 |           0.45 |   0.46 |    0.46 |       16 |
//	| HTTP, +50ms | 1 GiB | unhashed upload                 |       547 |    542 |           0.70 |   0.74 |    0.71 |       63 |
//	| HTTP, +50ms | 1 GiB | **engine** (blob.Stage, Commit) |       505 |    496 |           1.60 |   1.65 |    1.61 |       61 |
//	| HTTP, +50ms | 1 GiB | **whole River task**            |       422 |    415 |           1.61 |   1.66 |    1.63 |       64 |
//	| HTTP, +50ms | 1 GiB | rclone copyurl                  |       359 |    355 |           4.02 |   4.14 |    4.02 |      130 |
//
//	| Target                                                   | measured | at most |    met |
//	| -------------------------------------------------------- | -------: | ------: | -----: |
//	| CPU of engine / (unhashed + SHA-256), HTTP, 1 GiB        |     1.15 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), HTTP, 1 GiB          |     1.19 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, 1 GiB          |     0.35 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, 1 GiB         |     0.43 |    0.60 |    yes |
//	| CPU of task's process / rclone's, HTTP, 1 GiB            |     0.37 |    0.50 |    yes |
//	| time of task's process / rclone's, HTTP, 1 GiB           |     0.52 |    0.60 |    yes |
//	| CPU of engine / (unhashed + SHA-256), TLS, 1 GiB         |     1.09 |    1.20 |    yes |
//	| CPU of task / (unhashed + SHA-256), TLS, 1 GiB           |     1.11 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, TLS, 1 GiB           |     0.49 |    0.50 |    yes |
//	| time of engine's process / rclone's, TLS, 1 GiB          |     0.58 |    0.60 |    yes |
//	| CPU of task's process / rclone's, TLS, 1 GiB             |     0.50 |    0.50 |    yes |
//	| time of task's process / rclone's, TLS, 1 GiB            |     0.71 |    0.60 | **no** |
//	| CPU of engine / (unhashed + SHA-256), HTTP, +50ms, 1 GiB |     1.21 |    1.20 | **no** |
//	| CPU of task / (unhashed + SHA-256), HTTP, +50ms, 1 GiB   |     1.21 |    1.35 |    yes |
//	| CPU of engine's process / rclone's, HTTP, +50ms, 1 GiB   |     0.40 |    0.50 |    yes |
//	| time of engine's process / rclone's, HTTP, +50ms, 1 GiB  |     0.71 |    0.60 | **no** |
//	| CPU of task's process / rclone's, HTTP, +50ms, 1 GiB     |     0.40 |    0.50 |    yes |
//	| time of task's process / rclone's, HTTP, +50ms, 1 GiB    |     0.94 |    0.60 | **no** |
//
// Memory is flat: with 20 GiB the engine's process has 61 MiB at most, and the task's 64 (1 GiB: 60
// and 63); the target is 80.
//
// What isn't met:
//
//   - With 50 ms to each request, parts of 8 MiB, four at a time, are 32 round trips and their
//     transfers for 1 GiB. The unhashed upload takes 0.65 of rclone's time itself. rclone sends 16
//     parts of 4 MiB at once, and has twice the memory. --concurrency 8 is for such a store: the
//     engine has 748 MB/s then, less than half of rclone's time, and the same processor time, with
//     93 MiB. Its processor time at four, 1.21, is the target but for 1 %.
//   - A backup makes some ten more requests, one after the other: for the commit, its proof and the
//     manifest. They are half a second at that distance, whatever the size.
//   - With TLS all processes together use both processors up, the source's and the store's too, so
//     that a task takes 0.71 of rclone's time and not 0.6. Its processor time is half of rclone's.
//
// SHA-256 depends on where the memory is: 1.7 GB/s in the core's cache and 1.1 GB/s elsewhere. The
// engine brings parts into the cache before it hashes them; without that its ratio was 1.28.
package main
