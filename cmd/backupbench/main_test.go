package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/internal/envtest"
)

// TestMain lets the benchmark under test start its children, which are this program.
func TestMain(m *testing.M) {
	if os.Getenv("BACKUPBENCH_TEST_CHILD") == "1" {
		main()
	}
	_ = os.Setenv("BACKUPBENCH_TEST_CHILD", "1") // for the children
	envtest.Main(m)
}

func bench(t *testing.T, args ...string) (status int, out, stderr string) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(t.Context(), args, &system{in: strings.NewReader(""), out: &o, err: &e})
	return status, o.String(), e.String()
}

// Every case runs, over every network, and leaves nothing in the database.
func TestRun(t *testing.T) {
	t.Parallel()
	url := envtest.EmptyDatabase(t)
	profiles := t.TempDir()
	status, out, stderr := bench(t, "--size", "9MiB,2MiB", "--runs", "1", "--delay", "1ms", "--checksum", "--database", url,
		"--only", "discard,file,sha256,unhashed,engine,task", "--profile", profiles)
	require.Zero(t, status, stderr)
	require.Regexp(t, `(?m)^1 interleaved runs; parts of 8 MiB, 4 at a time; go`, out)
	for _, row := range []string{
		`– +\| 9 MiB \| SHA-256 alone, in memory`,
		`HTTP +\| 2 MiB \| read only \(io.Discard\)`,
		`TLS +\| 9 MiB \| local file, no fsync`,
		`HTTP, \+1ms +\| 9 MiB \| unhashed upload`,
		`TLS +\| 2 MiB \| \*\*engine\*\* \(blob.Stage, Commit\)`,
		`HTTP, \+1ms +\| 9 MiB \| \*\*whole River task\*\*`,
		`HTTP, \+1ms, 12 x 4 MiB \| 9 MiB \| \*\*whole River task\*\*`,
	} {
		require.Regexp(t, `(?m)^\| `+row+` +\| +\d+ \| +\d+ \| +\d+\.\d\d \| +\d+\.\d\d \| +\d+\.\d\d \| +[1-9]\d* \|$`, out)
	}
	require.Regexp(t, `(?m)^\| CPU of task / \(unhashed \+ SHA-256\), TLS, 9 MiB +\| `, out)
	require.Regexp(t, `(?m)^\| memory of engine's process, HTTP, 2 MiB +\| +\d+ MiB \|  80 MiB \| +yes \|$`, out)
	require.Regexp(t, `(?m)^\| memory of engine's process, HTTP, \+1ms, 12 x 4 MiB, 2 MiB +\| +\d+ MiB \|  80 MiB \| `, out)
	require.NotRegexp(t, `12 x 4 MiB \| . MiB \| read only`, out)
	require.FileExists(t, filepath.Join(profiles, "engine-plain-9437184-0.pprof"))

	var left int
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	defer pool.Close()
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'backupbench%'`).Scan(&left))
	require.Zero(t, left)
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--size 0":                       "must be a size such as 512MiB",
		"--only azcopy":                  "must be one of discard, file, sha256",
		"--network slow":                 "must be one of plain, tls, delay, distant",
		"--runs 0":                       "--runs must be at least 1",
		"--concurrency 0":                "--concurrency must be at least 1",
		"--distant 0":                    "--distant must be at least 1",
		"--distant-part 1KiB":            "--distant-part must be at least 64KiB",
		"--part 1KiB":                    "--part must be at least 64KiB",
		"--only rclone --rclone /no/way": "no such file",
	} {
		status, out, stderr := bench(t, strings.Fields(args)...)
		require.NotZero(t, status, args)
		require.Contains(t, stderr, want)
		require.Empty(t, out)
	}
}

func testResults(t *testing.T, runs ...map[kind]sample) *results {
	t.Helper()
	r := newResults()
	for _, round := range runs {
		for k, s := range round {
			it := item{gib, networkPlain, k}
			if k == kindSHA256 {
				it.network = ""
			}
			require.NoError(t, r.add(it, s))
		}
	}
	return r
}

func used(cpu time.Duration, peak int64) sample {
	return sample{outcome: outcome{Wall: cpu, CPU: cpu, Peak: peak}, processWall: cpu, processCPU: cpu}
}

// Targets compare the least of all runs, and the most memory.
func TestTargets(t *testing.T) {
	t.Parallel()
	c := &runCmd{Size: []size{gib}, Network: []network{networkPlain}, Part: 8 * mib, Concurrency: 4}
	s := time.Second
	r := testResults(t,
		map[kind]sample{kindSHA256: used(2*s, 0), kindUnhashed: used(s, 0), kindEngine: used(5*s, 60*mib), kindTask: used(4*s, 80*mib), kindRclone: used(10*s, 0)},
		map[kind]sample{kindSHA256: used(s, 0), kindUnhashed: used(3*s, 0), kindEngine: used(2*s, 81*mib), kindTask: used(3*s, 70*mib), kindRclone: used(8*s, 0)},
	)
	type verdict struct {
		value float64
		met   bool
		gated bool
	}
	got := make(map[string]verdict)
	for _, target := range c.targets(r) {
		got[target.what] = verdict{target.value, target.met(), target.gated}
	}
	require.Equal(t, map[string]verdict{
		"CPU of engine / (unhashed + SHA-256), HTTP, 1 GiB": {1, true, true},
		"CPU of task / (unhashed + SHA-256), HTTP, 1 GiB":   {1.5, false, true},
		"CPU of engine's process / rclone's, HTTP, 1 GiB":   {0.25, true, true},
		"CPU of task / rclone's, HTTP, 1 GiB":               {0.375, true, true},
		"time of engine's process / rclone's, HTTP, 1 GiB":  {0.25, true, false},
		"time of task / rclone's, HTTP, 1 GiB":              {0.375, true, false},
		"memory of engine's process, HTTP, 1 GiB":           {81, false, true},
		"memory of task's process, HTTP, 1 GiB":             {80, true, true},
	}, got)
}

// A gate that has nothing to compare isn't open.
func TestGateWithoutMeasurements(t *testing.T) {
	t.Parallel()
	for _, only := range [][]kind{{kindEngine}, {kindSHA256, kindUnhashed, kindEngine}, {kindEngine, kindTask, kindRclone}} {
		c := &runCmd{Gate: true, Only: only, Runs: 1, Part: 8 * mib, Concurrency: 4, Distant: 1, DistantPart: mib}
		require.ErrorContains(t, c.complete(), "--only must have sha256, unhashed, engine", only)
	}
	c := &runCmd{Gate: true, Only: []kind{kindSHA256, kindUnhashed, kindEngine, kindTask}, Size: []size{gib}, Network: []network{networkPlain}, Part: 8 * mib, Concurrency: 4}
	s := time.Second
	all := c.targets(testResults(t, map[kind]sample{kindUnhashed: used(s, 0), kindEngine: used(s, 60*mib), kindTask: used(s, 0)}))
	missed := make(map[string]bool)
	for _, target := range all {
		missed[target.what] = target.gated && !target.met()
	}
	require.Equal(t, map[string]bool{
		"CPU of engine / (unhashed + SHA-256), HTTP, 1 GiB": true,
		"CPU of task / (unhashed + SHA-256), HTTP, 1 GiB":   true,
		"memory of engine's process, HTTP, 1 GiB":           false,
		"memory of task's process, HTTP, 1 GiB":             true,
	}, missed)
	require.Equal(t, 3, strings.Count(targetTable(all), " nothing |"))
}

// Numbers of another rclone aren't those of the documentation.
func TestRcloneVersion(t *testing.T) {
	t.Parallel()
	require.Equal(t, "rclone v1.76.0, with its defaults.\n", rcloneLine("rclone v1.76.0"))
	require.Equal(t, "rclone v1.76.0-DEV, with its defaults.\n", rcloneLine("rclone v1.76.0-DEV"), "as go install builds it")
	require.Equal(t, "rclone v1.70.1, with its defaults; the documented numbers are of rclone v1.76.0.\n", rcloneLine("rclone v1.70.1"))
}

// Memory that grows with the size is a miss of its own.
func TestFlatMemory(t *testing.T) {
	t.Parallel()
	for growth, met := range map[int64]bool{8: true, 9: false} {
		c := &runCmd{Size: []size{mib, gib, 20 * gib}, Network: []network{networkTLS}, Part: 8 * mib, Concurrency: 4}
		r := newResults()
		for size, peak := range map[size]int64{mib: 20 * mib, gib: 60 * mib, 20 * gib: (60 + growth) * mib} {
			require.NoError(t, r.add(item{size, networkTLS, kindEngine}, used(time.Second, peak)))
		}
		all := c.targets(r)
		require.Len(t, all, 4)
		require.Equal(t, "memory of engine's process, TLS: growth with the size", all[3].what)
		require.Equal(t, met, all[3].met())
	}
}

// Whoever computes another digest than the others has not done the work.
func TestDigests(t *testing.T) {
	t.Parallel()
	r := newResults()
	a, b := sample{outcome: outcome{SHA256: "aa"}}, sample{outcome: outcome{SHA256: "bb"}}
	require.NoError(t, r.add(item{1, "", kindSHA256}, a))
	require.NoError(t, r.add(item{1, networkPlain, kindUnhashed}, sample{}))
	require.NoError(t, r.add(item{2, networkPlain, kindEngine}, b))
	require.ErrorContains(t, r.add(item{1, networkPlain, kindEngine}, b), "others have aa")
}

func TestMedian(t *testing.T) {
	t.Parallel()
	r := newResults()
	it := item{gib, networkPlain, kindFile}
	require.Zero(t, r.median(it, wall))
	for _, d := range []time.Duration{5, 1, 9, 2} {
		require.NoError(t, r.add(it, used(d, 0)))
	}
	require.EqualValues(t, 3, r.median(it, wall))
	require.EqualValues(t, 1, r.least(it, cpu))
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	require.Equal(t, ""+
		"| What | MB/s |\n"+
		"| ---- | ---: |\n"+
		"| –    |   12 |\n",
		markdown([][]string{{"What", "MB/s"}, {"–", "12"}}, 1))
}
