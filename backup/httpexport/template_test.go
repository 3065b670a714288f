package httpexport

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup"
)

func TestTemplateEscapesIDs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ template, user, site, want string }{
		{"https://h/export/{userId}/{siteId}", "u", "example.com", "/export/u/example.com"},
		{"https://h/export/{userId}/{siteId}", "a/b", "c\\d", "/export/a%2Fb/c%5Cd"},
		{"https://h/export/{userId}/{siteId}", "ä ö", "日本", "/export/%C3%A4%20%C3%B6/%E6%97%A5%E6%9C%AC"},
		{"https://h/export/{userId}/{siteId}", "50%", "%2e%2e", "/export/50%25/%252e%252e"},
		{"https://h/export/{userId}/{siteId}", "a?b=c", "d#e", "/export/a%3Fb=c/d%23e"},
		{"https://h/export/{userId}/{siteId}", "{siteId}", "s;x,\x00", "/export/%7BsiteId%7D/s%3Bx%2C%00"},
		{"https://h/export/{userId}/{siteId}", "...", ".x.", "/export/.../.x."},
		{"https://h/x?user={userId}&site={siteId}&b={backupId}", "a b&c=d", "../e+f", "/x?user=a+b%26c%3Dd&site=..%2Fe%2Bf&b=b1"},
		{"https://h?u={userId}", "/", "", "?u=%2F"},
		{"http://h/{userId}-{siteId}.tar", "..", "..", "/..-...tar"},
		{"http://h/fixed", "", "", "/fixed"},
	} {
		parsed, err := parseTemplate(tt.template)
		require.NoError(t, err, tt.template)
		u, err := parsed.expand(&backup.ExportRequest{UserID: tt.user, SiteID: tt.site, BackupID: "b1"})
		require.NoError(t, err, tt)
		require.True(t, strings.HasSuffix(u.RequestURI(), tt.want), "%s: %+v", u.RequestURI(), tt)
	}
}

func TestTemplateRefusesIDsThatClimb(t *testing.T) {
	t.Parallel()
	parsed, err := parseTemplate("https://h/export/{userId}/{siteId}")
	require.NoError(t, err)
	for _, id := range []string{"", ".", "..", "../admin", "a/../../admin", "a/./b", `..\admin`, "a/..", "%2e./..", "../"} {
		_, err := parsed.expand(&backup.ExportRequest{UserID: id, SiteID: "s"})
		require.Error(t, err, "%q", id)
	}
	parsed, err = parseTemplate("https://h/{userId}{siteId}/x")
	require.NoError(t, err)
	_, err = parsed.expand(&backup.ExportRequest{UserID: ".", SiteID: "."})
	require.ErrorContains(t, err, `must not have a "." or ".." segment`)
}

func TestTemplateSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for template, want := range map[string]string{
		"":                             "URL must begin with http:// or https://",
		"api.example.com/x":            "URL must begin with http:// or https://",
		"ftp://h/x":                    "URL must begin with http:// or https://",
		"{userId}://h/x":               "URL must begin with http:// or https://",
		"https:///x":                   "URL must have a host",
		"https://:80/x":                "URL must have a host",
		"https://u:secret@h/x":         "URL must not have a user name or password: use Authorize",
		"https://h/x#{userId}":         "URL must not have a fragment",
		"https://h/x#":                 "URL must not have a fragment",
		"https://{userId}.h/x":         "URL must have placeholders in its path and query only",
		"https://h/{user}":             "URL must have no placeholders but {userId}, {siteId} and {backupId}",
		"https://h/{userId":            "URL must have no placeholders but {userId}, {siteId} and {backupId}",
		"https://h/{}":                 "URL must have no placeholders but {userId}, {siteId} and {backupId}",
		"https://h/userId}":            "URL must not have a } without a {",
		"https://h/{userId}}":          "URL must not have a } without a {",
		"https://h/../{userId}":        `URL must be valid: its path must not have a "." or ".." segment`,
		"https://h/%2E%2e/{userId}":    `URL must be valid: its path must not have a "." or ".." segment`,
		"https://h:port/x?key=secret":  "URL must be valid: invalid port",
		"https://h/%zz/x?key=secret":   "URL must be valid: invalid URL escape",
		"https://h/x\x7f/x?key=secret": "URL must be valid: ",
	} {
		_, err := parseTemplate(template)
		require.ErrorContains(t, err, want, template)
		require.NotContains(t, err.Error(), "secret")
	}
}

// FuzzTemplate holds a template to its promise: whatever the ids are, they stay
// in their place, and the source reads there what they were.
func FuzzTemplate(f *testing.F) {
	f.Add("u", "s")
	f.Add("../..", "%2e%2e")
	f.Add("a/b?c#d", "ä\x00\xff{userId}")
	parsed, err := parseTemplate("https://h.example/export/{userId}/x/{siteId}?u={userId}&s={siteId}")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, user, site string) {
		u, err := parsed.expand(&backup.ExportRequest{UserID: user, SiteID: site})
		if err != nil {
			return
		}
		again, err := url.Parse(u.String())
		require.NoError(t, err)
		require.Equal(t, "https://h.example", again.Scheme+"://"+again.Host)
		segments := strings.Split(again.EscapedPath(), "/")
		require.Len(t, segments, 5)
		for i, want := range map[int]string{1: "export", 2: user, 3: "x", 4: site} {
			got, err := url.PathUnescape(segments[i])
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NotContains(t, []string{".", ".."}, got)
		}
		require.Equal(t, url.Values{"u": {user}, "s": {site}}, again.Query())
	})
}

// FuzzParseTemplate looks for templates that are accepted and don't work.
func FuzzParseTemplate(f *testing.F) {
	f.Add("https://h/export/{userId}/{siteId}?b={backupId}")
	f.Add("http://u@h/{userId")
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseTemplate(s)
		if err != nil {
			return
		}
		u, err := parsed.expand(&backup.ExportRequest{UserID: "a@b:c", SiteID: "#d?e", BackupID: "f"})
		require.NoError(t, err)
		require.Contains(t, []string{"http", "https"}, u.Scheme)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		require.Empty(t, u.Fragment)
	})
}
