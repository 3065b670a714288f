package fileblob_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
)

const (
	crashDirEnv = "FILEBLOB_CRASH_DIR"

	crashKeys  = 20 // few, so that commits, deletes and leftovers meet
	crashKills = 25
)

// Processes that commit and delete objects of a few keys are killed at moments
// of chance. Whatever is in view then must be whole and have its own metadata,
// and the store must go on to work.
func TestKilledCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	seen := 0
	for range crashKills {
		killOne(t, dir)
		seen += verifyAll(t, s)
	}
	require.NotZero(t, seen, "no object was ever in view")

	// What they have left goes in a week.
	later := open(t, dir)
	fileblob.SetNow(later, func() time.Time { return time.Now().AddDate(0, 0, 8) })
	require.NoError(t, later.Check(t.Context()))
	require.Len(t, sidecars(t, dir), verifyAll(t, s), "each sidecar has its object")
	left, err := os.ReadDir(filepath.Join(dir, ".staging"))
	require.NoError(t, err)
	require.Empty(t, left)

	// Every key can still be used.
	for i := range crashKeys {
		require.NoError(t, s.Delete(t.Context(), crashKey(i)))
		put(t, s, crashKey(i), "after all")
	}
}

func crashKey(i int) string { return "dir" + strconv.Itoa(i%3) + "/" + strconv.Itoa(i) }

// killOne runs a process, and kills it after some of its commits.
func killOne(t *testing.T, dir string) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), crashDirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range 1 + mathrand.IntN(15) {
		require.True(t, lines.Scan(), "the process has ended by itself")
	}
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
}

// commitUntilKilled is the process: it says each thing it does, before.
func commitUntilKilled(dir string) {
	s, err := fileblob.New(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx := context.Background()
	for {
		key := crashKey(mathrand.IntN(crashKeys))
		fmt.Println(key)
		err := commitObject(ctx, s, key)
		if errors.Is(err, blob.ErrExists) {
			err = s.Delete(ctx, key)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// commitObject commits random bytes in several parts; the metadata say which.
func commitObject(ctx context.Context, s *fileblob.Store, key string) error {
	var parts []blob.Part
	var whole []byte
	var upload [16]byte
	_, _ = rand.Read(upload[:])
	for i := range 3 {
		data := make([]byte, 100_000+mathrand.IntN(100_000))
		_, _ = rand.Read(data)
		part := blob.Part{ID: blob.NewPartID(upload, upload, i), Size: int64(len(data)), CRC64: blob.Checksum(data)}
		if err := s.StagePart(ctx, key, part, data); err != nil {
			return err
		}
		parts = append(parts, part)
		whole = append(whole, data...)
	}
	return s.Commit(ctx, key, parts, blob.Info{Metadata: map[string]string{"of": fingerprint(whole), "key": hex.EncodeToString([]byte(key))}})
}

func fingerprint(data []byte) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, blob.Checksum(data)))
}

// verifyAll checks every object in view, and returns their number.
func verifyAll(t *testing.T, s *fileblob.Store) int {
	t.Helper()
	n := 0
	for obj, err := range s.List(t.Context(), "") {
		require.NoError(t, err)
		n++
		full, err := s.Stat(t.Context(), obj.Key)
		require.NoError(t, err)
		body, err := s.Open(t.Context(), obj.Key, 0, -1)
		require.NoError(t, err)
		data, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		require.Equal(t, full.Metadata["of"], fingerprint(data), obj.Key)
		require.Equal(t, full.Metadata["key"], hex.EncodeToString([]byte(obj.Key)))
		parts, err := s.CommittedParts(t.Context(), obj.Key)
		require.NoError(t, err)
		var sum int64
		for _, p := range parts {
			sum += p.Size
		}
		require.EqualValues(t, len(data), sum)
	}
	return n
}

// A process died between the sidecar and the object.
func TestSidecarWithoutObject(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", "first")
	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	_, err := s.Stat(t.Context(), "a")
	require.ErrorIs(t, err, blob.ErrNotFound)

	put(t, s, "a", "second")
	obj, err := s.Stat(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString([]byte("second")), obj.Metadata["of"])

	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	require.NoError(t, s.Delete(t.Context(), "a"))
	require.Empty(t, sidecars(t, dir))
}

// Sidecars that a commit or a delete has left, when its process died, go in a week; those
// that have an object stay.
func TestSidecarsExpire(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key  string
		mark func(s *fileblob.Store, dir string) // what else the process has left
	}{
		"commit": {"u/s/1", func(s *fileblob.Store, _ string) { stage(t, s, "u/s/1", "x") }},
		"delete": {"u/s/2", func(_ *fileblob.Store, dir string) {
			require.NoError(t, os.Mkdir(filepath.Join(dir, ".staging", fileblob.HashOf("u/s/2")+".deleting"), 0o700))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			put(t, s, c.key, "gone")
			put(t, s, "u/s/stays", "here")
			stage(t, s, "u/s/stays", "left over")
			require.NoError(t, os.Remove(filepath.Join(dir, filepath.FromSlash(c.key))))
			c.mark(s, dir)
			require.NoError(t, s.Check(t.Context()))
			require.Len(t, sidecars(t, dir), 2, "not yet")
			fileblob.SetNow(s, func() time.Time { return time.Now().AddDate(0, 0, 8) })
			require.NoError(t, s.Check(t.Context()))
			require.Len(t, sidecars(t, dir), 1)
			obj, err := s.Stat(t.Context(), "u/s/stays")
			require.NoError(t, err)
			require.NotEmpty(t, obj.Metadata)
			left, err := os.ReadDir(filepath.Join(dir, ".staging"))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// To give an upload up leaves nothing of it, and nothing of an object is lost by it.
func TestAbortDropsSidecar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", "first")
	require.NoError(t, s.Abort(t.Context(), "a"))
	obj, err := s.Stat(t.Context(), "a")
	require.NoError(t, err)
	require.NotEmpty(t, obj.Metadata)
	require.NoError(t, os.Remove(filepath.Join(dir, "a")))
	require.NoError(t, s.Abort(t.Context(), "a"))
	require.Empty(t, sidecars(t, dir))
}

// A process that dies in the middle of a delete has said before which object it is of.
func TestDeleteIsMarked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", "x")
	shard := filepath.Join(dir, ".meta", fileblob.HashOf("a")[:2])
	side := filepath.Join(shard, fileblob.HashOf("a"))
	require.NoError(t, os.Remove(side))
	require.NoError(t, os.MkdirAll(filepath.Join(side, "in the way"), 0o700)) // what ends the delete in its middle
	require.Error(t, s.Delete(t.Context(), "a"))
	require.NoFileExists(t, filepath.Join(dir, "a"))
	require.DirExists(t, filepath.Join(dir, ".staging", fileblob.HashOf("a")+".deleting"))
	require.NoError(t, os.RemoveAll(side))
	require.NoError(t, s.Delete(t.Context(), "a"))
	require.NoDirExists(t, filepath.Join(dir, ".staging", fileblob.HashOf("a")+".deleting"))
}

// A process died between the object and the end of its commit: the parts are
// there still. The next commit of just these parts removes them.
func TestPartsOfACommittedObject(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	parts := put(t, s, "a", "data")
	stage(t, s, "a", "data")
	require.ErrorIs(t, s.Commit(t.Context(), "a", parts, blob.Info{}), blob.ErrExists)
	staged, err := s.StagedParts(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, staged)
}

// A process died when its object was in view and its name not yet synced. Whoever
// finds the object there, and goes on, has it synced first.
func TestStatSyncsWhatItShows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), "a/b/c", "data")
	s := open(t, dir)
	var synced []string
	fileblob.SetSync(s, func(d *os.File) error {
		synced = append(synced, d.Name())
		return nil
	})
	_, err := s.Stat(t.Context(), "a/b/c")
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "a/b"), filepath.Join(dir, "a"), dir}, cleaned(synced))

	synced = nil
	fileblob.SetNow(s, func() time.Time { return time.Now().Add(time.Hour) })
	_, err = s.Stat(t.Context(), "a/b/c")
	require.NoError(t, err)
	require.Empty(t, synced, "an old one is safe")
}

// An object that is deleted, and its directories with it, while its name is synced is
// an object that isn't there.
func TestStatWhileDeleting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := open(t, dir)
	put(t, other, "a/b/c", "data")
	s := open(t, dir)
	fileblob.SetSync(s, func(*os.File) error { return other.Delete(t.Context(), "a/b/c") })
	_, err := s.Stat(t.Context(), "a/b/c")
	require.ErrorIs(t, err, blob.ErrNotFound)
}

// A directory that New makes is there after a power failure, with all that is in it.
func TestMakeDirSyncs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var synced []string
	record := func(d *os.File) error {
		synced = append(synced, d.Name())
		return nil
	}
	require.NoError(t, fileblob.MakeDir(filepath.Join(dir, "a/b"), record))
	require.DirExists(t, filepath.Join(dir, "a/b"))
	require.Equal(t, []string{dir, filepath.Join(dir, "a")}, cleaned(synced))
	synced = nil
	require.NoError(t, fileblob.MakeDir(filepath.Join(dir, "a/b"), record))
	require.Empty(t, synced)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.Error(t, fileblob.MakeDir(filepath.Join(dir, "file/a"), record))
}

func cleaned(names []string) []string {
	for i, name := range names {
		names[i] = filepath.Clean(name)
	}
	return names
}
