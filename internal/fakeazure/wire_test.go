package fakeazure_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"

	"github.com/sitebackup/sitebackup/backup/blob"
	"github.com/sitebackup/sitebackup/internal/fakeazure"
)

// exchange is a request and the answer that Azure's documentation says it gets.
type exchange struct {
	name   string
	method string
	path   string // behind the account
	header map[string]string
	body   string
	status int
	code   string
}

func block(n int) string {
	return "comp=block&blockid=" + strings.NewReplacer("+", "%2B", "=", "%3D").Replace(base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", n)))
}

func blockList(from string, n ...int) string {
	var b strings.Builder
	for _, i := range n {
		fmt.Fprintf(&b, "<%s>%s</%s>", from, base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%06d", i)), from)
	}
	return "<?xml version='1.0'?><BlockList>" + b.String() + "</BlockList>"
}

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// They are made one after the other.
var exchanges = []exchange{
	{name: "no container", method: "PUT", path: "none/a?" + block(0), body: "x", status: 404, code: "ContainerNotFound"},
	{name: "container twice", method: "PUT", path: "bench?restype=container", status: 409, code: "ContainerAlreadyExists"},
	{name: "container's properties", method: "HEAD", path: "bench?restype=container", status: 200},
	{name: "nothing to read", method: "GET", path: "bench/a", status: 404, code: "BlobNotFound"},
	{name: "no block list", method: "GET", path: "bench/a?comp=blocklist&blocklisttype=all", status: 404, code: "BlobNotFound"},
	{name: "operation not known", method: "PUT", path: "bench/a?comp=lease", status: 501, code: "FeatureNotSupportedByFake"},

	{name: "block", method: "PUT", path: "bench/a?" + block(0), body: "one", status: 201},
	{name: "block with MD5", method: "PUT", path: "bench/a?" + block(1), header: map[string]string{"Content-MD5": md5Of("two")}, body: "two", status: 201},
	{name: "wrong MD5", method: "PUT", path: "bench/a?" + block(2), header: map[string]string{"Content-MD5": md5Of("two")}, body: "three", status: 400, code: "Md5Mismatch"},
	{name: "two checksums", method: "PUT", path: "bench/a?" + block(2), header: map[string]string{"Content-MD5": md5Of("x"), "x-ms-content-crc64": "AAAAAAAAAAA="}, body: "x", status: 400, code: "InvalidHeaderValue"},
	{name: "half a CRC", method: "PUT", path: "bench/a?" + block(2), header: map[string]string{"x-ms-content-crc64": "AAAA"}, body: "x", status: 400, code: "InvalidHeaderValue"},
	{name: "empty block", method: "PUT", path: "bench/a?" + block(2), status: 400, code: "InvalidHeaderValue"},
	{name: "id of another length", method: "PUT", path: "bench/a?comp=block&blockid=AAAA", body: "x", status: 400, code: "InvalidBlobOrBlock"},
	{name: "id that isn't base64", method: "PUT", path: "bench/a?comp=block&blockid=A", body: "x", status: 400, code: "InvalidQueryParameterValue"},
	{name: "id that is too long", method: "PUT", path: "bench/b?comp=block&blockid=" + strings.Repeat("AAAA", 22), body: "x", status: 400, code: "InvalidQueryParameterValue"},
	{name: "staged is not there", method: "HEAD", path: "bench/a", status: 404},
	{name: "staged can't be deleted", method: "DELETE", path: "bench/a", status: 404, code: "BlobNotFound"},

	{name: "list of a block that isn't there", method: "PUT", path: "bench/a?comp=blocklist", body: blockList("Latest", 0, 7), status: 400, code: "InvalidBlockList"},
	{name: "list of committed blocks where none are", method: "PUT", path: "bench/a?comp=blocklist", body: blockList("Committed", 0), status: 400, code: "InvalidBlockList"},
	{name: "list that is no XML", method: "PUT", path: "bench/a?comp=blocklist", body: "<BlockList><Latest>", status: 400, code: "InvalidXmlDocument"},
	{name: "list with unknown names", method: "PUT", path: "bench/a?comp=blocklist", body: blockList("Newest", 0), status: 400, code: "InvalidXmlNodeValue"},
	{name: "list that is too long", method: "PUT", path: "bench/a?comp=blocklist", body: blockList("Latest", make([]int, 50_001)...), status: 400, code: "BlockListTooLong"},
	{name: "if it is there", method: "PUT", path: "bench/a?comp=blocklist", header: map[string]string{"If-Match": "*"}, body: blockList("Latest", 0), status: 412, code: "ConditionNotMet"},
	{name: "commit", method: "PUT", path: "bench/a?comp=blocklist", header: map[string]string{"If-None-Match": "*"}, body: blockList("Uncommitted", 1, 0, 1), status: 201},
	{name: "commit where it is", method: "PUT", path: "bench/a?comp=blocklist", header: map[string]string{"If-None-Match": "*"}, body: blockList("Latest"), status: 409, code: "BlobAlreadyExists"},
	{name: "staged blocks are gone", method: "PUT", path: "bench/a?comp=blocklist", body: blockList("Uncommitted", 0), status: 400, code: "InvalidBlockList"},
	{name: "an id's length is free again", method: "PUT", path: "bench/a?comp=block&blockid=AAAA", body: "x", status: 201},
	{name: "commit of what is committed", method: "PUT", path: "bench/a?comp=blocklist", body: blockList("Committed", 0, 1), status: 201},
	{name: "another tag", method: "GET", path: "bench/a", header: map[string]string{"If-Match": `"0x1"`}, status: 412, code: "ConditionNotMet"},
	{name: "not changed", method: "GET", path: "bench/a", header: map[string]string{"If-None-Match": "*"}, status: 304},
	{name: "behind the end", method: "GET", path: "bench/a", header: map[string]string{"x-ms-range": "bytes=6-"}, status: 416, code: "InvalidRange"},
	{name: "not a block blob", method: "PUT", path: "bench/c", header: map[string]string{"x-ms-blob-type": "PageBlob"}, body: "x", status: 400, code: "InvalidHeaderValue"},
	{name: "put over it", method: "PUT", path: "bench/a", header: map[string]string{"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}, body: "x", status: 409, code: "BlobAlreadyExists"},
	{name: "list with a delimiter", method: "GET", path: "bench?restype=container&comp=list&delimiter=/", status: 501, code: "FeatureNotSupportedByFake"},
	{name: "delete", method: "DELETE", path: "bench/a", status: 202},
	{name: "delete the container", method: "DELETE", path: "bench?restype=container", status: 202},
	{name: "delete it again", method: "DELETE", path: "bench?restype=container", status: 404, code: "ContainerNotFound"},
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, fakeazure.New(&fakeazure.Options{Containers: []string{containerName}}), false)
	for _, x := range exchanges {
		resp := send(t, s, &x)
		require.Equal(t, x.status, resp.StatusCode, x.name)
		if x.method != http.MethodHead && x.status != http.StatusNotModified {
			require.Equal(t, x.code, resp.Header.Get("X-Ms-Error-Code"), x.name)
		}
		require.NotEmpty(t, resp.Header.Get("X-Ms-Request-Id"), x.name)
	}
	chunked := &exchange{method: "PUT", path: "bench/a?" + block(0), body: "x", header: map[string]string{"chunked": "1"}}
	require.Equal(t, http.StatusLengthRequired, send(t, s, chunked).StatusCode)
}

func send(t *testing.T, s *httptest.Server, x *exchange) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), x.method, s.URL+"/account/"+x.path, strings.NewReader(x.body))
	require.NoError(t, err)
	for k, v := range x.header {
		req.Header.Set(k, v)
	}
	if x.header["chunked"] != "" {
		req.ContentLength = -1
	}
	resp, err := s.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp
}

// Blobs that another program has put at once, and those in many pages.
func TestPutAndList(t *testing.T) {
	t.Parallel()
	_, c, s := start(t, &fakeazure.Options{})
	require.NoError(t, s.StagePart(t.Context(), "p/0", part(0, []byte("x")), []byte("x")))
	for i := range 7 {
		b := c.NewBlockBlobClient(fmt.Sprintf("p/%d", i))
		_, err := b.Upload(t.Context(), streaming.NopCloser(strings.NewReader(strings.Repeat("x", i))),
			&blockblob.UploadOptions{Metadata: map[string]*string{"number": new(fmt.Sprint(i))}})
		require.NoError(t, err)
	}
	staged, err := s.StagedParts(t.Context(), "p/0")
	require.NoError(t, err)
	require.Empty(t, staged, "putting a blob drops staged blocks")
	_, err = s.CommittedParts(t.Context(), "p/1")
	require.ErrorContains(t, err, "not written in parts")

	var names []string
	pages := 0
	pager := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Prefix: new("p/"), MaxResults: new(int32(3)), Include: container.ListBlobsInclude{Metadata: true},
	})
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		require.NoError(t, err)
		pages++
		for _, b := range page.Segment.BlobItems {
			require.Equal(t, *b.Name, "p/"+*b.Metadata["number"])
			names = append(names, *b.Name)
		}
	}
	require.Equal(t, 3, pages)
	require.Equal(t, []string{"p/0", "p/1", "p/2", "p/3", "p/4", "p/5", "p/6"}, names)
	for obj, err := range s.List(t.Context(), "p/3") {
		require.NoError(t, err)
		require.Equal(t, blob.Info{ContentType: "application/octet-stream", Metadata: map[string]string{"number": "3"}}, obj.Info)
	}
}
