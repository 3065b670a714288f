package httpapi_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sitebackup/sitebackup/httpapi"
)

type openAPI struct {
	OpenAPI    string
	Info       struct{ Version string }
	Paths      map[string]map[string]operation
	Components struct {
		Schemas         map[string]any
		SecuritySchemes map[string]struct{ Type, Scheme string }
	}
}

type operation struct {
	OperationID, Summary, Description string
	RequestBody                       struct {
		Content map[string]struct{ Schema map[string]any }
	}
	Security  []map[string][]string
	Responses map[string]struct {
		Description string
		Headers     map[string]any
		Content     map[string]struct{ Schema map[string]any }
		Codes       []httpapi.Code `json:"x-codes"`
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	a := b.get(t, "/openapi.json")
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	doc := decode[openAPI](t, a)
	require.True(t, strings.HasPrefix(doc.OpenAPI, "3.1"))
	require.Equal(t, "1.2.3", doc.Info.Version)
	require.ElementsMatch(t, []string{
		"/backup", "/backup/{id}", "/backup/{id}/events", "/backup/{id}/cancel", "/backup/{id}/retry", "/backup/{id}/verify", "/backup/{id}/hold", "/backup/{id}/release",
		"/backup/{id}/manifest", "/backup/{id}/tasks/{provider}/content", "/provider",
		"/schedule", "/schedule/{id}", "/schedule/{id}/pause", "/schedule/{id}/resume", "/schedule/{id}/run", "/schedule/{id}/next", "/schedule/{id}/slot", "/retention/plan", "/user/{userId}/backup", "/user/{userId}/site/{siteId}/backup", "/erasure/{id}",
	}, slices.Collect(maps.Keys(doc.Paths)))

	start := doc.Paths["/backup"]["post"]
	require.Equal(t, "startBackup", start.OperationID)
	require.Equal(t, "#/components/schemas/StartRequest", start.RequestBody.Content["application/json"].Schema["$ref"])
	require.Equal(t, "#/components/schemas/Backup", start.Responses["202"].Content["application/json"].Schema["$ref"])
	get := doc.Paths["/backup/{id}"]["get"]
	require.Equal(t, "getBackup", get.OperationID)
	events := doc.Paths["/backup/{id}/events"]["get"]
	require.Equal(t, "streamBackupEvents", events.OperationID)
	require.Contains(t, events.Responses["200"].Content, "text/event-stream")
	require.Contains(t, get.Responses, "304")
	require.Contains(t, get.Responses["200"].Headers, "ETag")
	require.Equal(t, "bearer", doc.Components.SecuritySchemes["bearer"].Scheme)
	require.Equal(t, []map[string][]string{{"bearer": {"write"}}}, start.Security)
	require.Equal(t, []map[string][]string{{"bearer": {"read"}}}, get.Security)
	for _, op := range []operation{start, get, events} {
		require.Contains(t, op.Responses, "401")
		require.Contains(t, op.Responses, "403")
		require.NotEmpty(t, op.Summary)
		require.NotEmpty(t, op.Description)
		for status, res := range op.Responses {
			if status[0] > '3' {
				require.Equal(t, "#/components/schemas/Problem", res.Content["application/problem+json"].Schema["$ref"], status)
			}
		}
	}
	require.ElementsMatch(t, []string{
		"Attempt", "Backup", "BackupEvent", "BackupList", "BackupSummary", "Damage", "Erasure", "FieldError", "Failure", "Hold", "HoldRequest", "Problem", "Progress",
		"Provider", "ProviderList", "RetentionDecision", "RetentionPlan", "RetentionPolicy", "Schedule", "ScheduleList", "ScheduleRequest", "ScheduleSettings", "ScheduleSlot", "ScheduleSlotList",
		"StartRequest", "StreamEnd", "Task", "TaskEvent", "UpcomingSlot", "UpcomingSlots", "Verification", "VerifyRequest",
	}, slices.Collect(maps.Keys(doc.Components.Schemas)))

	var fromYAML map[string]any
	y := b.get(t, "/openapi.yaml")
	require.Equal(t, "application/yaml", y.Header.Get("Content-Type"))
	require.NoError(t, yaml.Unmarshal(y.body, &fromYAML))
	require.Equal(t, doc.OpenAPI, fromYAML["openapi"])
}

// TestRegister adds the operations to an API that a host has, with huma as it
// comes, below a prefix.
func TestRegister(t *testing.T) {
	t.Parallel()
	b := setup(t, settings{})
	mux := http.NewServeMux()
	host := humago.New(mux, huma.DefaultConfig("Host", "1.0.0"))
	httpapi.Register(huma.NewGroup(host, "/v1"), b.client, nil)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	b.url = server.URL + "/v1"

	a := b.post(t, `{"userId":"u","siteId":"s"}`)
	require.Equal(t, http.StatusAccepted, a.StatusCode, "%s", a.body)
	for body, status := range map[string]int{`{"userId":"u"}`: 422, `{`: 400, strings.Repeat(" ", 64<<10+1): 413} {
		a = b.post(t, body)
		require.Equal(t, status, a.StatusCode)
		require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
		require.NotEmpty(t, decode[httpapi.Problem](t, a).Code)
	}
	require.Equal(t, 404, b.get(t, "/backup/x").StatusCode)
	path := host.OpenAPI().Paths["/v1/backup"]
	require.NotNil(t, path.Post.RequestBody.Content["application/json"])
}
