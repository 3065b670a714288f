package httpapi

import (
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sitebackup/sitebackup/backup"
)

// api is what the operations share.
type api struct {
	client  *backup.Client
	log     *slog.Logger
	timeout time.Duration
}

// Register adds the operations to a huma API. It changes none of huma's global
// settings: the operations answer with a Problem of their own.
func Register(to huma.API, client *backup.Client, opts *Options) {
	o := opts.withDefaults(client.Logger())
	a := &api{client: client, log: o.Logger, timeout: o.Timeout}
	a.registerStart(to)
	a.registerGet(to)
}

const tag = "Backups"

// problems documents the answers of these statuses.
func problems(to huma.API, statuses ...int) map[string]*huma.Response {
	schema := to.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	responses := make(map[string]*huma.Response, len(statuses)+1)
	for _, status := range statuses {
		res := &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{problemContentType: {Schema: schema}},
		}
		if status == http.StatusServiceUnavailable {
			res.Headers = map[string]*huma.Param{"Retry-After": {
				Description: "Seconds to wait before trying again.", Schema: &huma.Schema{Type: huma.TypeInteger},
			}}
		}
		responses[strconv.Itoa(status)] = res
	}
	return responses
}
