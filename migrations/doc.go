// Package migrations brings a database to the state that this release needs,
// and back.
//
// Everything lives in one schema, "backup" by default: River's tables, whose
// migrations are run first and by River's own migrator, then ours, which are
// the numbered files of the folder sql. River records what it applied in
// river_migration, we record ours in backup_migration.
//
// # Running them
//
// [Up] applies what is missing, [Down] takes back, [Status] says what is there,
// and [Validate] is the check of a program that starts. [Dump] prints the same
// SQL for those who run migrations with a tool of their own; a database that was
// made from it is like one that [Up] made, records included.
//
// Up and Down hold an advisory lock of Postgres, one for each schema of a
// database, so that any number of processes may call them at once: one works,
// the others wait, and then find nothing left to do. The lock is a
// transaction's, on a connection of its own that the pool does not count. It
// therefore ends with its process, works through a pooler in transaction mode,
// and needs no second connection of a pool that has but one.
//
// Each migration is a transaction, and records itself in it. One that fails
// leaves nothing of itself behind; those before it stay, and the next Up goes on
// from there. One of ours that finds a table locked by a long transaction waits for a few
// seconds at a time, so that it doesn't hold up everybody behind it, and fails after a
// minute.
//
// # Releases side by side
//
// Migrations only expand: they add what the new release needs and leave what the
// old one uses. Release N therefore runs on the database of release N+1, and
// [Validate] accepts a database that is newer than the program. Down is the
// exception. It cannot take back a migration that it does not know.
//
// # What Down destroys
//
// Down drops tables with their rows. After it nobody knows which objects in the
// store belong to which backup, other than by their manifests. With
// [DownOptions.RiverToo] it drops River's tables as well, with every job in
// them, also those of another program that uses River in the same schema. It
// asks nothing and refuses nothing that it is able to do. It never drops the
// schema, which may hold other people's tables and whose grants are the
// operator's; when it is empty, DROP SCHEMA is safe.
package migrations
