// Package config reads backupd's configuration file.
//
// The file is YAML. Every key is known or refused, every problem is found and
// said with its line, and no secret stands in it: a secret is the name of an
// environment variable,
//
//	connectionString: ${env:BACKUP_STORAGE}
//
// and a literal in such a place is refused. Any other value may be a reference,
// too; it is always the whole value. So a file can be shown and committed, and
// [File.Print] shows what is in effect with the references in place of the
// secrets.
//
// Sizes are written like 8MiB, 10GiB, 500MB or 4096 (bytes), durations like 90s,
// 30min, 26h, 7d or 2w, or in Go's form (1h30m). In schedules and retention rules m
// alone is refused: elsewhere people mean months by it.
package config
