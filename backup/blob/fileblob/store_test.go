package fileblob_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/backup/blob/blobtest"
	"github.com/sitebackup/sitebackup/backup/blob/fileblob"
)

func open(t testing.TB, dir string) *fileblob.Store {
	t.Helper()
	s, err := fileblob.New(dir, nil)
	require.NoError(t, err)
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

// All checks at once in one directory, each through a store of its own, as
// several processes would.
func TestConformanceInOneDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Run("all", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, dir) })
	})
	require.Empty(t, objects(t, dir), "the checks have left objects")
	require.Empty(t, sidecars(t, dir), "the checks have left sidecars")
}

// put commits an object of one part.
func put(t testing.TB, s blob.Store, key, data string) []blob.Part {
	t.Helper()
	parts := stage(t, s, key, data)
	require.NoError(t, s.Commit(t.Context(), key, parts, blob.Info{Metadata: map[string]string{"of": hexOf(data)}}))
	return parts
}

func hexOf(data string) string { return hex.EncodeToString([]byte(data)) }

func stage(t testing.TB, s blob.Store, key, data string) []blob.Part {
	t.Helper()
	part := blob.Part{
		ID:    blob.NewPartID([16]byte{1}, [16]byte{2}, 0),
		Size:  int64(len(data)),
		CRC64: blob.Checksum([]byte(data)),
	}
	require.NoError(t, s.StagePart(t.Context(), key, part, []byte(data)))
	return []blob.Part{part}
}

// objects lists the files of a store's directory that aren't the store's own.
func objects(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		if name == ".staging" || name == ".meta" {
			return fs.SkipDir
		}
		if err == nil && name != "." {
			names = append(names, name)
		}
		return err
	})
	require.NoError(t, err)
	return names
}

func sidecars(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, ".meta", "*", "[0-9a-f]*"))
	require.NoError(t, err)
	return names
}

func TestObjectsArePlainFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), "user/site%20/0.json", "hello\n")

	data, err := os.ReadFile(filepath.Join(dir, "user", "site%20", "0.json"))
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(data))

	err = filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := e.Info()
		want := fs.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		}
		require.Equal(t, want, info.Mode().Perm(), name)
		return err
	})
	require.NoError(t, err)
}

func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a/b/c", "x")
	put(t, s, "a/d", "y")
	staged, err := filepath.Glob(filepath.Join(dir, ".staging", "*"))
	require.NoError(t, err)
	require.Empty(t, staged, "parts of committed objects")

	require.NoError(t, s.Delete(t.Context(), "a/b/c"))
	require.Equal(t, []string{"a", "a/d"}, objects(t, dir), "the empty directory must go, the other must stay")
	require.NoError(t, s.Delete(t.Context(), "a/d"))
	require.Empty(t, objects(t, dir))
	require.Empty(t, sidecars(t, dir))
}

// A part must be as long as the list says.
func TestCommitComparesSizes(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	parts := stage(t, s, "a", "data")
	parts[0].Size++
	require.ErrorIs(t, s.Commit(t.Context(), "a", parts, blob.Info{}), blob.ErrPartMissing)
}

// The object must not be a staged file: whoever still has that open could change
// the object.
func TestZombieCannotChangeTheObject(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	parts := stage(t, s, "a", "right")
	staged, err := filepath.Glob(filepath.Join(dir, ".staging", "*", parts[0].ID.String()))
	require.NoError(t, err)
	require.Len(t, staged, 1)
	zombie, err := os.OpenFile(staged[0], os.O_WRONLY, 0)
	require.NoError(t, err)
	defer zombie.Close()

	require.NoError(t, s.Commit(t.Context(), "a", parts, blob.Info{}))
	_, err = zombie.WriteString("WRONG")
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, "right", string(data))
}

func TestKeysThatAFileSystemRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, "dir/object", "x")
	for key, want := range map[string]string{
		".staging/x":                    `begins with ".staging"`,
		".meta":                         `begins with ".meta"`,
		"lost+found/x":                  `begins with "lost+found"`,
		"a/" + strings.Repeat("b", 256): "segment of 256 bytes",
		"dir":                           "directory of other objects",
		"dir/object/below":              "directory of the key is another object",
	} {
		err := s.Commit(t.Context(), key, nil, blob.Info{})
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, blob.ErrExists)
	}
	put(t, s, "a/"+strings.Repeat("b", 255), "the longest name")

	stage(t, s, "a/b", "x")
	for _, prefix := range []string{".staging/", ".staging/" + fileblob.HashOf("a/b") + "/", ".meta/"} {
		for obj, err := range s.List(t.Context(), prefix) {
			t.Fatalf("List yields the store's own files: %v, %v", obj, err)
		}
	}
}

func TestNewNamesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "is", "not there")
	_, err := fileblob.New(dir, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, dir)

	s, err := fileblob.New(dir, &fileblob.Options{Create: true})
	require.NoError(t, err)
	require.NoError(t, s.Check(t.Context()))
	require.Equal(t, "file://"+strings.ReplaceAll(dir, " ", "%20"), s.String())

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = fileblob.New(file, nil)
	require.ErrorContains(t, err, file)
	_, err = fileblob.New("", nil)
	require.ErrorContains(t, err, "must not be empty")
}

func TestCheckNoticesAnotherDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s, err := fileblob.New(dir, &fileblob.Options{Create: true})
	require.NoError(t, err)
	require.NoError(t, s.Check(t.Context()))

	require.NoError(t, os.Rename(dir, dir+".old"))
	require.ErrorContains(t, s.Check(t.Context()), dir)
	require.NoError(t, os.Mkdir(dir, 0o700))
	err = s.Check(t.Context())
	require.ErrorContains(t, err, "another directory has taken its place")
	require.ErrorContains(t, err, dir)
}

// A file that somebody has put there by hand is an object without metadata, and
// is never replaced.
func TestForeignFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("by hand"), 0o600))
	obj, err := s.Stat(t.Context(), "a")
	require.NoError(t, err)
	require.Empty(t, obj.Metadata)
	require.EqualValues(t, 7, obj.Size)
	_, err = s.CommittedParts(t.Context(), "a")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, s.Commit(t.Context(), "a", stage(t, s, "a", "mine"), blob.Info{}), blob.ErrExists)
}

func TestSymlinksAreNoObjects(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(filepath.Dir(secret), filepath.Join(dir, "dir")))
	for _, key := range []string{"link", "dir/secret"} {
		_, err := s.Open(t.Context(), key, 0, -1)
		require.Error(t, err, key)
	}
	for obj := range s.List(t.Context(), "") {
		t.Fatalf("List yields %v", obj)
	}
}

// A file that is cut while it is read must not look whole.
func TestTruncatedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, "a", strings.Repeat("x", 100))
	body, err := s.Open(t.Context(), "a", 0, -1)
	require.NoError(t, err)
	defer body.Close()
	require.NoError(t, os.Truncate(filepath.Join(dir, "a"), 50))
	data, err := io.ReadAll(body)
	require.Len(t, data, 50)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	put(t, s, "a", "x")
	ctx, cancel := context.WithCancel(t.Context())
	body, err := s.Open(ctx, "a", 0, -1)
	require.NoError(t, err)
	defer body.Close()
	cancel()
	_, err = body.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.Canceled)
}

func TestStagedPartsExpire(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	stage(t, s, "old", "x")
	fresh := stage(t, s, "new", "y")
	entries, err := os.ReadDir(filepath.Join(dir, ".staging"))
	require.NoError(t, err)
	require.Len(t, entries, 2)
	now := time.Now()
	age := func(key string, days int) {
		at := now.AddDate(0, 0, -days)
		require.NoError(t, os.Chtimes(filepath.Join(dir, ".staging", fileblob.HashOf(key)), at, at))
	}
	age("old", 8)
	age("new", 6)

	require.NoError(t, s.Check(t.Context()))
	gone, err := s.StagedParts(t.Context(), "old")
	require.NoError(t, err)
	require.Empty(t, gone)
	left, err := s.StagedParts(t.Context(), "new")
	require.NoError(t, err)
	require.Len(t, left, len(fresh))
}

// An upload sweeps, too: a server that nobody checks must not fill its disk.
func TestStagingSweeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	stage(t, s, "first", "x") // sweeps
	stage(t, s, "old", "x")
	fileblob.SetNow(s, func() time.Time { return time.Now().AddDate(0, 0, 8) })
	stage(t, s, "new", "y")
	gone, err := s.StagedParts(t.Context(), "old")
	require.NoError(t, err)
	require.Empty(t, gone)
}
