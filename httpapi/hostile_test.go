package httpapi_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// hostileTexts are values that a caller may put in place of any parameter. "{id}"
// becomes the id of a backup of the caller's, "{theirs}" of one of another tenant's.
var hostileTexts = slices.Concat([]string{
	"", " ", "\t", "\x00", "a\x00b", "\x7f", "\xff\xfe", "\xc0\xaf", "\xed\xa0\x80", "\n", "\r\nX-Injected: 1", "\r\n\r\nHTTP/1.1 200 OK", "%0d%0aX-Injected: 1",
	"%", "%zz", "%00", "%2e%2e%2f", "%25252e", "..", "../../etc/passwd", "a/b", "/", "//", `\`, "?", "#", "&", "=", ";", ",", ",,,", "a,b", "*", ".", "~", "+",
	"💥", "é", "e\u0301", "\u202e", "\u0000", "\ufeff", "\u2028", "１２", "٣", "Ⅷ", "ｔｒｕｅ", "ѕite", "ſite", "SITE", "Site", " site", "site ", "site\x00",
	"'", `"`, "`", "';DROP TABLE backup;--", "' OR '1'='1", "%' OR 1=1 --", "${jndi:ldap://x}", "{{.}}", "<script>alert(1)</script>", "$1", "@id", "%s%n", "\\u0000",
	"null", "undefined", "true", "TRUE", "false", "1", "yes", "[]", "{}", `{"a":1}`,
	strings.Repeat("a", 256), strings.Repeat("é", 300), strings.Repeat("%41", 2000), strings.Repeat("a", 9000), strings.Repeat(",", 5000), strings.Repeat("*,", 3000),
}, hostileNumbers, hostileIDs, hostileTimes, hostileWaits, hostileTags, hostileCursors)

var hostileNumbers = []string{
	"0", "-0", "+1", "-1", "007", "1.0", "1.5", "1e3", "1e309", "-1e-400", "0x10", "0b1", "1_000", "1,000", " 1", "1 ", "NaN", "Infinity", "-Infinity", "200", "201",
	"2147483647", "2147483648", "4294967296", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
	"18446744073709551616", strings.Repeat("9", 400), strings.Repeat("0", 400) + "1",
}

var hostileIDs = []string{
	"{theirs}", "{id}x", "x{id}", "{id}\x00", "{id} ", " {id}", "{id}\n", "{{id}}", "urn:uuid:{id}", "{id},{theirs}", "{id}/../{theirs}", "{id}%2f..%2f{theirs}",
	"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "019a1b2c3d4e7f608a9b0c1d2e3f4a5b", "019A1B2C-3D4E-7F60-8A9B-0C1D2E3F4A5B",
	"019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5", "019a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5bb", "０19a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", "019a1b2c_3d4e_7f60_8a9b_0c1d2e3f4a5b",
	"g19a1b2c-3d4e-7f60-8a9b-0c1d2e3f4a5b", unused,
}

var hostileTimes = []string{
	"2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02 03:04:05Z", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z",
	"2026-01-02T24:00:00Z", "2026-01-02T03:04:60Z", "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05-23:59", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
	"0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z",
	"2026-01-02T03:04:05." + strings.Repeat("1", 500) + "Z", "1767322999", "now", "infinity", "epoch",
}

var hostileWaits = []string{
	"0s", "1ms", "00001ms", "60s", "61s", "60000ms", "60001ms", "-1s", "1h", "1m", "1us", "1ns", "1.5s", ".5s", "1s1s", "1S", "s", "ms", "1 s", "999999s", "9999999s",
	"１s", "1µs", "1e1s", "+1s", "9223372036854775808ms",
}

var hostileTags = []string{
	`"x"`, `W/"x"`, `w/"x"`, `"`, `""`, `"x`, `x"`, `"a","b"`, `"a", W/"b", *`, `*, "a"`, `"a\"b"`, "W/", "W/*", `"` + strings.Repeat("x", 5000) + `"`, strings.Repeat(`"x",`, 1500),
}

var hostileCursors = []string{
	"AAYx8kJ5YAABmhssPU5_YIqbDB0uP0pb", strings.Repeat("A", 32), strings.Repeat("_", 32), strings.Repeat("A", 31), strings.Repeat("A", 33), strings.Repeat("/", 32),
	strings.Repeat("A", 30) + "==", "gAAAAAAAAAABmhssPU5_YIqbDB0uP0pb", "f_________8BmhssPU5_YIqbDB0uP0pb",
}

// otherHeaders are values for headers besides the hostile texts. A server reads these
// headers although the description doesn't name them for each operation.
var otherHeaders = map[string][]string{
	"Range": {
		"bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-2", "bytes=0-0,5-9", "bytes=1-", "bytes=0-" + strings.Repeat("9", 30), "bytes=18446744073709551616-", "bytes=--1",
		"bytes= 0 - 5", "bytes=", "bytes", "items=0-5", "BYTES=0-5", "bytes=１-２", "bytes=a-b", "bytes=99999999-", "bytes=0-" + strings.Repeat(",0-", 2000), "bytes=0x1-",
	},
	"If-Range":          append([]string{"Mon, 02 Jan 2006 15:04:05 GMT"}, hostileTags...),
	"If-Match":          hostileTags,
	"If-None-Match":     hostileTags,
	"If-Modified-Since": {"Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 9999 15:04:05 GMT", "yesterday"}, "If-Unmodified-Since": {"Mon, 02 Jan 1970 15:04:05 GMT", "0"},
	"Accept":          {"*/*", "text/html", "application/xml;q=1", "application/problem+json", "application/json;q=0", "a/b,c/d;q=x", "application/cbor", "/"},
	"Accept-Encoding": {"gzip", "identity;q=0", "br, *;q=0"},
	"Content-Type": {
		"application/json", "application/json; charset=utf-16", "application/json; charset", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
		"application/cbor", "application/JSON", "application/json, text/plain",
	},
	"Content-Encoding": {"gzip", "deflate", "br"}, "Expect": {"100-continue", "200-ok"}, "X-Request-Id": {"a:b", strings.Repeat("r", 128), strings.Repeat("r", 129)},
	"Authorization": {"Bearer", "Bearer ", "Basic eDp5", "Bearer x y", "bearer x"}, "Host": {"backup.example.com", "evil.example.com", "127.0.0.1:1", "[::1]:x", "localhost", "a b"},
	"Origin": {"null", "https://evil.example", "://"}, "Sec-Fetch-Site": {"cross-site", "same-origin", "none"}, "Cookie": {"a=b; c"},
	"Idempotency-Key": {`"k"`, `"k`, `k"`, `"a", "b"`, `"k";a=1`, ":AAAA:", "?1", `"\x"`}, "Last-Event-ID": hostileNumbers,
	"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"evil.example"}, "X-HTTP-Method-Override": {"DELETE"}, "X-Original-URL": {"/metrics"}, "Transfer-Encoding": {"gzip", "chunked, chunked", "identity"},
	"Content-Length": {"-1", "x", "1, 2", "99999999999999999999"}, "Upgrade": {"h2c", "websocket"}, "Trailer": {"Authorization"}, "TE": {"trailers"},
}

// hostileJSON are values in place of any member of a body, not all of them JSON.
var hostileJSON = []string{
	"null", "true", "false", "-1", "0", "-0", "1", "01", "+1", "1.", ".5", "1.5", "1e2", "1e999", "1e-999", "9223372036854775807", "9223372036854775808", "-9223372036854775809",
	strings.Repeat("9", 2000), "NaN", "Infinity", "0x1", `""`, `" "`, `"x"`, `"\u0000"`, `"a\u0000b"`, `"\ud800"`, `"\udc00\ud800"`, `"\uffff"`, `"\n"`, "\"\n\"", "\"\x00\"", "\"\xff\"", "\"\xc0\xaf\"",
	`"\u202e"`, `"../.."`, `"a/b"`, `"%2e%2e%2f"`, `"` + alice + `"`, `"ALICE"`, `"alice\u0000"`, `"alice "`, `"bob-x"`, `"*"`, `"ali*"`, `"join"`, `"JOIN"`, `"1"`, `"1e3"`, `"site"`, `"ｓite"`,
	`"` + strings.Repeat("a", 200) + `"`, `"` + strings.Repeat("a", 201) + `"`, `"` + strings.Repeat("é", 150) + `"`, `"` + strings.Repeat("/", 70) + `"`, `"` + strings.Repeat("a", 5000) + `"`, `"` + strings.Repeat("a", 70_000) + `"`,
	"[]", "[[]]", "[null]", `["site","site"]`, `["site",1]`, `["nothing"]`, `[""]`, `["\u0000"]`, "[" + strings.Repeat(`"site",`, 1000) + `"db"]`,
	"{}", `{"":""}`, `{"k":null}`, `{"k":1}`, `{"k":"\u0000"}`, `{"\u0000":"v"}`, `{"k":"v","k":"w"}`, `{"__proto__":"x"}`, `{"` + strings.Repeat("k", 64) + `":"v"}`, `{"k":"` + strings.Repeat("v", 256) + `"}`, manyMembers(33), manyMembers(1000),
	strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000), strings.Repeat("[", 30_000), strings.Repeat(`{"a":`, 10_001) + "1" + strings.Repeat("}", 10_001),
	"'x'", `"x`, "{", "[1,]", `{"a":1,}`, "/*x*/1", "undefined", "1 2", "",
}

// hostileBodies are whole bodies.
var hostileBodies = append([]string{
	"", " ", "\xef\xbb\xbf{}", "\x00", "{}{}", "{} x", `{"a"}`, `{a:1}`, "\x1f\x8b\x08", "a=b&c=d", "<x/>", "\xa1\x61a\x01", "{\"\xff\":1}", `{"userId":"alice","userId":"bob-x","siteId":"s"}`,
	`{"UserID":"alice","siteId":"s"}`, `{"":1}`, strings.Repeat(" ", 64<<10) + "{}", strings.Repeat("x", 200<<10),
}, hostileJSON...)

func manyMembers(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf("%q:\"v\"", fmt.Sprint("k", i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// escapes are ways to write a value in a path or query: every byte escaped, as
// clients do, and not at all.
func escapes(value string) []string {
	ways := []string{url.PathEscape(value), escapeAll(value)}
	if !strings.ContainsAny(value, " \r\n\t") {
		ways = append(ways, value)
	}
	slices.Sort(ways)
	return slices.Compact(ways)
}

func escapeAll(value string) string {
	var text strings.Builder
	for _, c := range []byte(value) {
		fmt.Fprintf(&text, "%%%02x", c)
	}
	return text.String()
}
