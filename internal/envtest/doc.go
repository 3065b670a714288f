// Package envtest gives tests a real Postgres and a real Azurite.
//
// Each test binary has at most one of either, started when the first test asks for it, shared by all
// its tests, and stopped by Main. Tests are kept apart by what they get in it: a schema, a database or
// a container of their own. So every test can be parallel.
//
//	func TestMain(m *testing.M) { envtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		pool, schema := envtest.Schema(t)
//		...
//	}
//
// # Where they come from
//
// A server that is given is used as it is. Else, where a Docker engine answers, testcontainers-go
// runs one in a container; else, or when that does not work, package env starts one from what is
// installed or can be fetched. These variables have a say:
//
//	BACKUP_TEST_DATABASE_URL    a Postgres to use; its user must be allowed to create databases
//	BACKUP_TEST_AZURITE         the connection string of an Azurite to use
//	BACKUP_TEST_DOCKER          1: only with Docker; 0: never with Docker
//	BACKUP_TEST_POSTGRES_IMAGE  the Postgres image; defaults to postgres:17-alpine
//	BACKUP_TEST_AZURITE_IMAGE   the Azurite image; defaults to Microsoft's, of the pinned version
//	BACKUP_TEST_NO_SKIP         1: a test that cannot have its server fails instead of being skipped
//	BACKUP_TEST_SOAK            1: tests that know Soak or Count run in full, which takes hours
//	BACKUP_TEST_PICTURES        a directory for pictures of the pages that Browse opens
//
// # When a test binary is killed
//
// What package env started ends with it. A container is removed by testcontainers' reaper, which
// TESTCONTAINERS_RYUK_DISABLED=true switches off.
//
// # Leak checks
//
// A shared server has goroutines that live until Main stops it. A test that uses goleak asks for its
// server first and then takes goleak.IgnoreCurrent.
package envtest
