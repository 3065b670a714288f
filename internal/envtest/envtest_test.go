package envtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { Main(m) }

// run is a test within a test: t.Run on a test that is over when it returns.
func run(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	require.True(t, t.Run("inner", f))
}

func count(t *testing.T, statement string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, Pool(t).QueryRow(t.Context(), statement, args...).Scan(&n))
	return n
}

func TestSchema(t *testing.T) {
	t.Parallel()
	const find = "SELECT count(*) FROM pg_namespace WHERE nspname = $1"
	var names []string
	run(t, func(t *testing.T) {
		pool, schema := Schema(t)
		_, other := Schema(t)
		names = append(names, schema, other)
		require.Regexp(t, `^[a-z][a-z0-9]{1,39}$`, schema)
		require.NotEqual(t, schema, other)
		require.Zero(t, count(t, find, schema), "it is the test that makes it")
		require.EqualValues(t, poolSize, pool.Config().MaxConns)
		_, err := pool.Exec(t.Context(), "CREATE SCHEMA "+schema+"; CREATE TABLE "+schema+".t (id int)")
		require.NoError(t, err)
		require.Equal(t, 1, count(t, find, schema))
	})
	require.Zero(t, count(t, find, names[0]))
}

func TestEmptyDatabase(t *testing.T) {
	t.Parallel()
	const find = "SELECT count(*) FROM pg_database WHERE datname = $1"
	var name string
	run(t, func(t *testing.T) {
		url := EmptyDatabase(t)
		conn, err := pgx.Connect(t.Context(), url) // and left open: the drop does not wait for it
		require.NoError(t, err)
		name = conn.Config().Database
		require.Equal(t, 1, count(t, find, name))
		var tables int
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables))
		require.Zero(t, tables)
	})
	require.Zero(t, count(t, find, name))
}

func TestAzuriteContainer(t *testing.T) {
	t.Parallel()
	var url string
	run(t, func(t *testing.T) {
		c := AzuriteContainer(t)
		url = c.URL()
		pager := c.NewListBlobsFlatPager(nil)
		page, err := pager.NextPage(t.Context())
		require.NoError(t, err)
		require.Empty(t, page.Segment.BlobItems)
		require.NotEqual(t, url, AzuriteContainer(t).URL())
	})
	require.NotEmpty(t, url)
}

// recorder is a testing.TB that says how a test would have ended.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper()                        {}
func (r *recorder) Skip(args ...any)               { r.end("skip: " + fmt.Sprint(args...)) }
func (r *recorder) Fatalf(format string, a ...any) { r.end("fatal: " + fmt.Sprintf(format, a...)) }

func (r *recorder) end(how string) {
	r.ended = how
	panic(r)
}

func howItEnds(f func(testing.TB)) (how string) {
	r := &recorder{}
	defer func() {
		if recover() == any(r) {
			how = r.ended
		}
	}()
	f(r)
	return "goes on"
}

func TestWithoutItsServerATestIsSkippedOrFails(t *testing.T) {
	starts := 0
	s := service{start: func(context.Context, settings) (running, error) {
		starts++
		return running{}, errors.New("none here")
	}}
	t.Setenv("BACKUP_TEST_NO_SKIP", "")
	require.Equal(t, "skip: none here", howItEnds(func(t testing.TB) { s.get(t) }))
	t.Setenv("BACKUP_TEST_NO_SKIP", "1")
	require.Regexp(t, "^fatal: none here\n", howItEnds(func(t testing.TB) { s.get(t) }))
	require.Equal(t, 1, starts, "what failed is not tried again for each test")
	require.NoError(t, s.halt())
}

func TestServiceStartsAndStopsOnce(t *testing.T) {
	t.Parallel()
	starts, stops := 0, 0
	s := service{start: func(context.Context, settings) (running, error) {
		starts++
		return running{url: "here", stop: func(context.Context) error { stops++; return errors.New("stuck") }}, nil
	}}
	require.Equal(t, "here", s.get(t))
	require.Equal(t, "here", s.get(t))
	require.ErrorContains(t, s.halt(), "stuck")
	require.NoError(t, s.halt())
	require.Equal(t, []int{1, 1}, []int{starts, stops})
}

func TestGivenServersAreUsedAsTheyAre(t *testing.T) {
	t.Parallel()
	set := settings{databaseURL: "postgres://given", azurite: "given", docker: "1"}
	p, err := startPostgres(t.Context(), set)
	require.NoError(t, err)
	require.Equal(t, "postgres://given", p.url)
	require.Nil(t, p.stop)
	a, err := startAzurite(t.Context(), set)
	require.NoError(t, err)
	require.Equal(t, "given", a.url)
	require.Nil(t, a.stop)
}

func TestDockerOrNot(t *testing.T) {
	t.Parallel()
	never := func(context.Context, settings) (running, error) { return running{}, errors.New("no container") }
	host := func(context.Context) (running, error) { return running{url: "host"}, nil }
	noHost := func(context.Context) (running, error) { return running{}, errors.New("not installed") }

	for _, choice := range []string{"", "0"} {
		r, err := inContainerOr(t.Context(), settings{docker: choice}, never, host)
		require.NoError(t, err)
		require.Equal(t, "host", r.url)
	}
	_, err := inContainerOr(t.Context(), settings{docker: "1"}, never, host)
	require.ErrorContains(t, err, "BACKUP_TEST_DOCKER=1")
	r, err := inContainerOr(t.Context(), settings{}, func(context.Context, settings) (running, error) {
		return running{url: "container"}, nil
	}, noHost)
	require.NoError(t, err)
	require.Equal(t, "container", r.url)
	_, err = inContainerOr(t.Context(), settings{}, never, noHost)
	require.ErrorContains(t, err, "in a container: ")
	require.ErrorContains(t, err, "not installed")
}
