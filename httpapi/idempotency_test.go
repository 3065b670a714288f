package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/httpapi"
)

func (b *bundle) postKey(t testing.TB, body string, keys ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/backup", strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	for _, key := range keys {
		req.Header.Add("Idempotency-Key", key)
	}
	return send(t, req)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	options, secrets := authorize(t, httpapi.Token{Name: "a", Scopes: readWrite}, httpapi.Token{Name: "b", Scopes: readWrite})
	b := setup(t, settings{options: options})
	b = b.as(secrets["a"])
	first := b.postKey(t, start, `"k 1"`)
	require.Equal(t, http.StatusAccepted, first.StatusCode, "%s", first.body)
	for _, body := range []string{start, `{"siteId":"s", "userId":"u", "labels":null}`} {
		for _, key := range []string{`"k 1"`, `k 1`} {
			again := b.postKey(t, body, key)
			require.Equal(t, http.StatusAccepted, again.StatusCode)
			require.Equal(t, string(first.body), string(again.body))
			require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
		}
	}
	for _, body := range []string{`{"userId":"u","siteId":"t"}`, `{"userId":"u","siteId":"s","sizeLimit":7}`, `{"userId":"u","siteId":"s","ifActive":"join"}`} {
		requireProblem(t, b.postKey(t, body, `"k 1"`), 422, httpapi.CodeKeyReused)
	}
	other := b.as(secrets["b"]).postKey(t, `{"userId":"u","siteId":"t"}`, `"k 1"`)
	require.Equal(t, http.StatusAccepted, other.StatusCode, "a key is the caller's own: %s", other.body)
	require.Len(t, b.list(t, "").Backups, 2)
}

// Where nobody is asked who they are, all are one caller.
func TestIdempotencyKeyOfNobody(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	require.Equal(t, http.StatusAccepted, b.postKey(t, start, "k").StatusCode)
	requireProblem(t, b.postKey(t, `{"userId":"u","siteId":"t"}`, "k"), 422, httpapi.CodeKeyReused)
}

func TestIdempotencyKeyIsOneString(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for _, keys := range [][]string{{""}, {`""`}, {`"`}, {`"a`}, {`"a"b`}, {`"a", "b"`}, {"é"}, {strings.Repeat("k", 256)}, {"a", "b"}} {
		p := requireProblem(t, b.postKey(t, start, keys...), 422, httpapi.CodeValidationFailed)
		require.Equal(t, "header.Idempotency-Key", p.Errors[0].Location, keys)
	}
	require.Equal(t, http.StatusAccepted, b.postKey(t, start, strings.Repeat("k", 255)).StatusCode)
	require.Len(t, b.list(t, "").Backups, 1)
}

// 200 at once, with one key or with ifActive, make one backup.
func TestStartedOnce(t *testing.T) {
	t.Parallel()
	const all = 200
	for name, test := range map[string]struct{ body, key string }{
		"key":    {start, `"k"`},
		"join":   {`{"userId":"u","siteId":"s","ifActive":"join"}`, ""},
		"reject": {`{"userId":"u","siteId":"s","ifActive":"reject"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, settings{})
			answers := make([]answer, all)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					if test.key == "" {
						answers[i] = b.postKey(t, test.body)
						return
					}
					answers[i] = b.postKey(t, test.body, test.key)
				})
			}
			wg.Wait()
			got := make(map[string]int)
			for _, a := range answers {
				if a.StatusCode == http.StatusConflict {
					p := requireProblem(t, a, 409, httpapi.CodeBackupActive)
					got["409 "+p.BackupID]++
					continue
				}
				got[fmt.Sprint(a.StatusCode, " ", decode[httpapi.Backup](t, a).ID)]++
			}
			id := b.list(t, "").Backups[0].ID
			require.Len(t, b.list(t, "").Backups, 1)
			if name == "reject" {
				require.Equal(t, map[string]int{"202 " + id: 1, "409 " + id: all - 1}, got)
				return
			}
			require.Equal(t, map[string]int{"202 " + id: all}, got)
		})
	}
}

func TestStartRefusesOptions(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	for member, rule := range map[string]string{
		`"sizeLimit":-1`:    "must not be negative",
		`"sizeLimit":1.5`:   "must be a whole number of bytes",
		`"sizeLimit":"1"`:   "must be a whole number of bytes",
		`"ifActive":"wait"`: "must be start, join or reject",
		`"ifActive":1`:      "must be start, join or reject",
	} {
		p := requireProblem(t, b.post(t, `{"userId":"u","siteId":"s",`+member+`}`), 422, httpapi.CodeValidationFailed)
		require.Equal(t, rule, p.Errors[0].Message, member)
	}
	require.Equal(t, int64(7), b.started(t, `{"userId":"u","siteId":"s","sizeLimit":7}`).SizeLimit)
}
