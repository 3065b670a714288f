package httpapi

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sitebackup/sitebackup/backup"
)

const description = `Starts backups of users' sites and shows their state.

Errors are problem documents (RFC 9457). Programs should look at their member "code", which is stable.`

// NewHandler returns a handler of the whole API: the operations, their OpenAPI
// 3.1 description at /openapi.json and /openapi.yaml, a page that shows it at
// /docs, which needs nothing from another host, the JSON Schema of manifests at
// /manifest.schema.json, /healthz (the process answers),
// /readyz (the database is reachable and migrated, and the destination usable),
// /freshness (backups are made as scheduled, and none is older than it may be; for a
// dead-man's switch)
// and /metrics for a Prometheus. Who may use the operations and the metrics is up
// to [Options.Authorize]; the rest is for everybody.
func NewHandler(client *backup.Client, opts *Options) (http.Handler, error) {
	o := opts.withDefaults(client.Logger())
	mux := http.NewServeMux()
	to := humago.New(mux, humaConfig(o.Version))
	a := newAPI(client, &o)
	a.register(to)
	serveDescription(mux, to)
	if err := serveDocs(mux); err != nil {
		return nil, err
	}
	serveManifestSchema(mux)
	h := newHealth(client, o.Logger)
	m, err := newMetrics(client, &a.lasting, &o)
	if err != nil {
		return nil, err
	}
	mux.Handle("GET "+healthPath, noted("health", http.HandlerFunc(h.alive)))
	mux.Handle("GET "+readyPath, noted("ready", http.HandlerFunc(h.ready)))
	mux.Handle("GET "+freshnessPath, noted("freshness", newFreshness(client, a.guard, o.Logger)))
	mux.Handle("GET "+metricsPath, noted("metrics", m.handler(a.guard, o.Logger)))
	for pattern, handler := range o.Handlers {
		mux.Handle(pattern, a.guarded(pattern, handler, &o))
	}
	return withRequestID(withLog(withHosts(withFallback(mux), o.Hosts), o.Logger, m)), nil
}

// noted serves what is none of huma's operations under a name of its own.
func noted(operation string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		noteOf(r.Context()).operation = operation
		next.ServeHTTP(w, r)
	})
}

// humaConfig leaves out what huma would serve itself: its documentation page
// needs the internet, and its schema links add members to our answers.
func humaConfig(version string) huma.Config {
	config := huma.DefaultConfig("Site backup", version)
	config.Info.Description = description
	config.Info.License = &huma.License{Name: "Apache-2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0"}
	config.Info.Contact = &huma.Contact{Name: "sitebackup", URL: "https://github.com/sitebackup/sitebackup"}
	config.Servers = []*huma.Server{{URL: "/", Description: "The server that this description comes from."}}
	config.Tags = []*huma.Tag{{Name: tag, Description: "Starting, watching and managing backups."}, {Name: scheduleTag, Description: "Backups that are started at set times."}, {Name: retentionTag, Description: "Which backups are kept."}}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	// The second is what huma looks up for application/problem+json.
	config.Formats = map[string]huma.Format{jsonContentType: huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	return config
}

// serveDescription serves what OpenAPI says of the API, made once, by whoever asks
// first: it takes longer than all else that a server does when it starts. Huma would make
// it on the first request, too, and two first ones would race.
func serveDescription(mux *http.ServeMux, to huma.API) {
	schemas := to.OpenAPI().Components.Schemas.Map()
	// Huma's own errors: this API has none of them.
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	serve := func(path, contentType string, encode func() ([]byte, error)) {
		description := sync.OnceValues(encode)
		mux.Handle("GET "+path, noted("openapi", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			data, err := description()
			if err != nil {
				panic(fmt.Errorf("encode %s: %w", path, err)) // logged, and answered as an internal error
			}
			w.Header().Set("Content-Type", contentType)
			_, _ = w.Write(data) // the client has gone if it fails
		})))
	}
	serve("/openapi.json", jsonContentType, to.OpenAPI().MarshalJSON)
	serve("/openapi.yaml", "application/yaml", to.OpenAPI().YAML)
}
