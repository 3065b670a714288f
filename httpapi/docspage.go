package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:generate sh -c "cd docs && go run generate.go"

// docsFiles are the documentation page and Swagger UI, which shows the OpenAPI
// description. Nothing comes from another host: a page that does would tell it
// who looks, would run what it likes, and would be empty offline.
//
//go:embed docs/index.html docs/init.js docs/swagger-ui/*.gz
var docsFiles embed.FS

const docsPath = "/docs"

// docsPolicy lets the page run and load what this server has, and nothing else:
// no script or style within the page, no eval, no other host, no frame.
// Swagger UI's pictures are in its style sheet.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file of the page.
type asset struct {
	contentType string
	etag        string
	plain       []byte
	gzipped     []byte // nil: it isn't worth it
}

// assets are the files of the page, by path, read once for all handlers of the process.
var assets = sync.OnceValues(func() (map[string]*asset, error) {
	all := make(map[string]*asset)
	for url, file := range map[string]string{
		docsPath: "docs/index.html", docsPath + "/init.js": "docs/init.js",
		docsPath + "/swagger-ui-bundle.js": "docs/swagger-ui/swagger-ui-bundle.js.gz",
		docsPath + "/swagger-ui.css":       "docs/swagger-ui/swagger-ui.css.gz",
	} {
		a, err := readAsset(file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all[url] = a
	}
	return all, nil
})

// serveDocs serves the documentation page.
func serveDocs(mux *http.ServeMux) error {
	all, err := assets()
	if err != nil {
		return err
	}
	for url, a := range all {
		mux.Handle("GET "+url, noted("docs", http.HandlerFunc(a.serve)))
	}
	return nil
}

func readAsset(file string) (*asset, error) {
	data, err := docsFiles.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	a := &asset{plain: data, etag: hex.EncodeToString(sum[:8])}
	if name, ok := strings.CutSuffix(file, ".gz"); ok {
		file, a.gzipped = name, data
		zr, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if a.plain, err = io.ReadAll(zr); err != nil { //nolint:forbidigo // our own file
			return nil, err
		}
	}
	// Not by package mime: it asks the machine's own tables.
	a.contentType = map[string]string{
		".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	}[path.Ext(file)]
	return a, nil
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // ask whether it is still the same
	data, etag := a.plain, a.etag
	if a.gzipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			data, etag = a.gzipped, a.etag+"-gzip"
		}
	}
	h.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// acceptsGzip takes a client that doesn't say "gzip" plainly for one that doesn't
// accept it.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && !strings.HasPrefix(weight, "q=0.0")
		}
	}
	return false
}
