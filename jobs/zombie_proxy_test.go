package jobs

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// proxy is between a worker process and the store. The first commit of an
// export goes through it as a test says.
type proxy struct {
	http.Handler
	commit  func(forward func()) // runs once; the answer is lost
	commits atomic.Int64
}

func newProxy(target *url.URL) *proxy {
	return &proxy{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host}) }}}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	list := r.Method == http.MethodPut && r.URL.Query().Get("comp") == "blocklist" && strings.Contains(r.URL.Path, "/site/")
	if !list || p.commits.Add(1) > 1 {
		p.Handler.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		p.commit(func() { p.Handler.ServeHTTP(httptest.NewRecorder(), r.WithContext(r.Context())) })
	}
	panic(http.ErrAbortHandler) // breaks the connection
}

var blobEndpoint = regexp.MustCompile(`BlobEndpoint=([^;]*)`)

// through is a place of which the first process sees the proxy only.
func through(p **proxy) place {
	azurite := places()[1]
	return place{"azureblob", func(t *testing.T, c *child) blob.Store {
		store := azurite.put(t, c)
		target, err := url.Parse(blobEndpoint.FindStringSubmatch(c.Azurite)[1])
		require.NoError(t, err)
		*p = newProxy(target)
		srv := httptest.NewServer(*p)
		t.Cleanup(srv.Close)
		c.Azurite = strings.Replace(c.Azurite, target.Scheme+"://"+target.Host, srv.URL, 1)
		return store
	}}
}

// The store commits, and its answer is lost. The same process finds out, or
// another one that takes the task over.
func TestZombieWithoutAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stops   bool // the process, when the store has committed
		late    bool // the commit comes to the store only when all is over
		deletes bool // the backup is deleted meanwhile
	}{
		"and goes on":               {},
		"and is stopped":            {stops: true},
		"and the backup is deleted": {stops: true, deletes: true},
		"and the commit comes late": {stops: true, late: true},
		"late, and it is deleted":   {stops: true, late: true, deletes: true},
	} {
		t.Run(name, func(t *testing.T) {
			var p *proxy
			reached, over, sent := make(chan func(), 1), make(chan struct{}), make(chan struct{})
			pl := through(&p)
			put := pl.put
			pl.put = func(t *testing.T, ch *child) blob.Store {
				store := put(t, ch)
				p.commit = func(forward func()) {
					defer close(sent)
					if !c.late {
						forward()
					}
					reached <- forward
					select {
					case <-over:
					case <-t.Context().Done(): // the test has failed
					}
					if c.late {
						forward()
					}
				}
				return store
			}
			z := newZombie(t, pl, &child{})
			<-reached
			if !c.stops {
				close(over)
				z.taken()
				z.requireOne(z.id, z.want)
				require.Zero(t, z.count("SELECT failures FROM {backup_task}"))
				require.Greater(t, p.commits.Load(), int64(1), "it asked again")
				return
			}
			require.NoError(t, z.p.Process.Signal(syscall.SIGSTOP))
			z.isStopped()
			z.work()
			z.taken()
			z.requireOne(z.id, z.want)
			z.riverKnows()
			if c.deletes {
				z.deleted()
			}
			keys := z.keys()
			close(over)
			<-sent
			require.Equal(t, keys, z.keys())
			z.continues()
			if !c.deletes {
				z.requireOne(z.id, z.want)
			}
		})
	}
}
