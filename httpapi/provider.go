package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Provider is an export that backups have.
type Provider struct {
	Name    string `json:"name" example:"site"`
	MinSize int64  `json:"minSize" doc:"The fewest bytes that a complete export has." example:"1"`
	MaxSize int64  `json:"maxSize,omitempty" doc:"The most bytes that an export may have. It is left out if there is no limit." example:"53687091200"`
}

// ProviderList is all of them.
type ProviderList struct {
	Providers []Provider `json:"providers" nullable:"false" doc:"The providers, in the order of their names."`
}

type providersOutput struct {
	CacheControl string `header:"Cache-Control" hidden:"true"`
	Body         ProviderList
}

func (a *api) registerProviders(to huma.API) {
	huma.Register(to, a.operation(to, ScopeRead, huma.Operation{
		OperationID: "listProviders", Method: http.MethodGet, Path: "/provider", Tags: []string{tag},
		Summary:     "List the providers",
		Description: "These are the providers that this server knows. A server that makes no backups itself may know none; requests for backups are accepted all the same.",
	}), a.providers)
}

func (a *api) providers(context.Context, *struct{}) (*providersOutput, error) {
	out := &providersOutput{CacheControl: "no-store", Body: ProviderList{Providers: []Provider{}}}
	for _, name := range a.client.ProviderNames() {
		p := a.client.Provider(name)
		least := p.MinSize
		if least == 0 && !p.AllowEmpty {
			least = 1
		}
		out.Body.Providers = append(out.Body.Providers, Provider{Name: name, MinSize: least, MaxSize: p.MaxSize})
	}
	return out, nil
}
