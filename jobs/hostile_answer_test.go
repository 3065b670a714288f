package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// hostileRange is a Content-Range; first is -1 for "*", and total is.
type hostileRange struct {
	unit               string
	first, last, total int
}

func (r hostileRange) String() string {
	span, total := fmt.Sprintf("%d-%d", r.first, r.last), strconv.Itoa(r.total)
	if r.first < 0 {
		span = "*"
	}
	if r.total < 0 {
		total = "*"
	}
	return r.unit + " " + span + "/" + total
}

// isPart reports whether it says of a body that it is some of the bytes.
func (r hostileRange) isPart() bool {
	return r.unit == "bytes" && r.first >= 0 && r.first <= r.last && (r.total < 0 || r.last < r.total)
}

// hostileAnswer is an answer, and what was asked.
type hostileAnswer struct {
	offset  int // that was asked for; -1: the whole
	ifRange string
	page    string

	dated         bool // its validators are dates
	status        int
	ranges        []hostileRange
	tags, next    []string
	content, repr []byte // digests
	trailer       bool   // they come behind the body
	encoding, typ string
	body          []byte // what is sent of it
	framing       string // "length", "chunked" or "close"
	length        int    // that is announced
	end           string // "whole", "cut", "reset" or "hang"

	disturbed bool // it may have been read to any byte
}

// complete reports whether the framing's end came, if it has one.
func (a *hostileAnswer) complete() bool {
	switch a.framing {
	case "length":
		return len(a.body) >= a.length
	case "close":
		return a.end == "whole" || a.end == "cut" // which are the same
	}
	return a.end == "whole"
}

// seen is the body as its framing has it.
func (a *hostileAnswer) seen() []byte {
	if a.framing == "length" {
		return a.body[:min(len(a.body), a.length)]
	}
	return a.body
}

// header is what it sends besides the framing, and behind the body.
func (a *hostileAnswer) header() (header, trailer http.Header) {
	header, trailer = http.Header{}, http.Header{}
	for _, r := range a.ranges {
		header.Add("Content-Range", r.String())
	}
	header[map[bool]string{false: "Etag", true: "Last-Modified"}[a.dated]] = a.tags
	for _, mark := range a.next {
		header.Add("Link", "<?mark="+mark+`>; rel="next"`)
		header.Add("Next", mark)
	}
	if a.typ != "" {
		header.Set("Content-Type", a.typ)
	}
	if a.encoding != "" {
		header.Set("Content-Encoding", a.encoding)
	}
	to := header
	if a.trailer {
		to = trailer
	}
	for name, sum := range map[string][]byte{"Content-Digest": a.content, "Repr-Digest": a.repr} {
		if sum != nil {
			to.Set(name, field("sha-256", sum))
		}
	}
	for name := range trailer {
		header.Add("Trailer", name)
	}
	return header, trailer
}

func (a *hostileAnswer) send(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		a.sendHTTP2(w, r)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	header, trailer := a.header()
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d Any\r\nDate: Sat, 01 Jan 2028 00:00:00 GMT\r\n", a.status)
	_ = header.Write(&out)
	switch a.framing {
	case "length":
		fmt.Fprintf(&out, "Content-Length: %d\r\n\r\n%s", a.length, a.body)
	case "chunked":
		out.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if len(a.body) > 0 {
			fmt.Fprintf(&out, "%x\r\n%s\r\n", len(a.body), a.body)
		}
		if a.end == "whole" {
			out.WriteString("0\r\n")
			_ = trailer.Write(&out)
			out.WriteString("\r\n")
		}
	default:
		fmt.Fprintf(&out, "Connection: close\r\n\r\n%s", a.body)
	}
	_, _ = conn.Write(out.Bytes())
	switch a.end {
	case "reset":
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	case "hang":
		_, _ = io.Copy(io.Discard, conn) // until the other side closes
	}
}

func (a *hostileAnswer) sendHTTP2(w http.ResponseWriter, r *http.Request) {
	header, trailer := a.header()
	for name, values := range header {
		w.Header()[name] = values
	}
	if a.framing == "length" {
		w.Header().Set("Content-Length", strconv.Itoa(a.length))
	}
	w.WriteHeader(a.status)
	flush := http.NewResponseController(w).Flush
	_ = flush()
	_, _ = w.Write(a.body)
	_ = flush()
	switch a.end {
	case "hang":
		<-r.Context().Done()
	case "whole":
		for name, values := range trailer {
			w.Header()[name] = values
		}
		return
	}
	panic(http.ErrAbortHandler)
}

// hostileExport is an export whose source answers by chance.
type hostileExport struct {
	random *rand.Rand
	id     int
	kind   string // the provider: "http1", "http2", "link" or "cursor"
	dated  bool   // its validators are dates
	once   bool   // one answer is odd
	odd    int    // how many are; or with once, which
	often  float64

	mu       sync.Mutex
	versions [][]byte
	answers  []*hostileAnswer
}

func newHostileExport(seed uint64, id int) *hostileExport {
	e := &hostileExport{random: rand.New(rand.NewPCG(seed, uint64(id))), id: id}
	e.kind = []string{"http1", "http1", "http2", "http2", "link", "cursor"}[e.random.IntN(6)]
	e.dated, e.once = e.random.IntN(5) == 0, e.random.IntN(2) == 0
	e.odd, e.often = 2+e.random.IntN(6), 0.02+0.2*e.random.Float64()
	if e.once {
		e.odd = min(1, e.random.IntN(5))
	}
	e.change()
	return e
}

// change makes another version of it.
func (e *hostileExport) change() {
	size := 8 + e.random.IntN(800)
	if e.random.IntN(20) == 0 {
		size += 120_000 // some parts
	}
	var data []byte
	for len(data) < size {
		// Each word says whose, which version's and where it is.
		data = binary.BigEndian.AppendUint64(data, uint64(e.id)<<40|uint64(len(e.versions))<<32|uint64(len(data)))
	}
	e.versions = append(e.versions, data[:size])
}

// tag is the validator of a version: its ETag, or when it was made.
func (e *hostileExport) tag(version int) string {
	if e.dated {
		return time.Date(2020, 1, 1, version, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	}
	return fmt.Sprintf(`"v%d"`, version)
}

// either is right, or by chance one of the others.
func either[T any](e *hostileExport, often float64, right T, others ...T) T {
	if e.random.Float64() >= often {
		return right
	}
	return others[e.random.IntN(len(others))]
}

// chances are how often each choice of the n-th answer is odd, and how often it
// breaks off.
func (e *hostileExport) chances(n int) (odd, cut float64) {
	switch {
	case !e.once && n < e.odd:
		return e.often, 0.35
	case e.once && n == e.odd:
		return 0.12, 0.2
	case e.once && n < e.odd:
		return 0, 0.9
	}
	return 0, 0
}

// answer makes the answer to a request up.
func (e *hostileExport) answer(r *http.Request) *hostileAnswer {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := &hostileAnswer{offset: -1, ifRange: r.Header.Get("If-Range"), page: r.URL.Query().Get("mark"), typ: "application/x-tar", dated: e.dated}
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &a.offset); err != nil {
		a.offset = -1
	}
	odd, cut := e.chances(len(e.answers))
	if e.random.Float64() < cut/4 {
		e.change()
	}
	bytesOf := e.part
	if e.paged() {
		bytesOf = e.pick
	}
	version, from, to := bytesOf(a, odd)
	e.describe(a, odd, version, from, to)
	e.frame(a, odd, cut)
	e.answers = append(e.answers, a)
	return a
}

func (e *hostileExport) paged() bool { return e.kind == "link" || e.kind == "cursor" }

const hostilePages = 3

// pick is which page of which version is asked for, and names the next one.
func (e *hostileExport) pick(a *hostileAnswer, odd float64) (version, from, to int) {
	version, page := len(e.versions)-1, 0
	_, _ = fmt.Sscanf(a.page, "%d.%d", &version, &page)
	a.status = 200
	mark := func(version, page int) []string { return []string{fmt.Sprintf("%d.%d", version, page)} }
	if page < hostilePages-1 {
		a.next = mark(version, page+1)
	}
	if !e.once {
		a.next = either(e, odd, a.next, nil, mark(version, page), mark(len(e.versions)-1, min(page+1, hostilePages-1)), []string{"0.1", "0.2"})
	}
	size := len(e.versions[version])
	return version, page * size / hostilePages, (page + 1) * size / hostilePages
}

// part is which bytes are asked for.
func (e *hostileExport) part(a *hostileAnswer, odd float64) (version, from, to int) {
	version = len(e.versions) - 1
	size := len(e.versions[version])
	holds, end := a.ifRange == e.tag(version), size
	if a.offset >= 0 {
		end = either(e, odd, size, a.offset)
	}
	switch part := a.offset >= 0 && either(e, odd, holds, !holds); {
	case part && a.offset >= end:
		a.status, a.ranges = 416, []hostileRange{{"bytes", -1, -1, end}}
		return version, size, size
	case part:
		to = either(e, odd, size, a.offset+1+e.random.IntN(size-a.offset))
		a.status, a.ranges = 206, []hostileRange{{"bytes", a.offset, to - 1, size}}
		return version, a.offset, to
	}
	a.status = 200
	return version, 0, size
}

// describe makes up what an answer says of itself.
func (e *hostileExport) describe(a *hostileAnswer, odd float64, version, from, to int) {
	data := e.versions[version]
	size, body := len(data), data[from:to]
	span := hostileRange{"bytes", from, to - 1, size}
	if len(a.ranges) > 0 {
		span = a.ranges[0]
	}
	with := func(change func(*hostileRange)) []hostileRange {
		r := span
		change(&r)
		return []hostileRange{r}
	}
	a.ranges = either(e, odd, a.ranges, nil, []hostileRange{span, span}, []hostileRange{{"bytes", max(a.offset, 0), size - 1, size}},
		with(func(r *hostileRange) { r.first, r.last = r.first+8, r.last+8 }), with(func(r *hostileRange) { r.last-- }),
		with(func(r *hostileRange) { r.total = -1 }), with(func(r *hostileRange) { r.total += 8 }), with(func(r *hostileRange) { r.total = max(a.offset, 0) }),
		with(func(r *hostileRange) { r.unit = "items" }), []hostileRange{{"bytes", -1, -1, max(a.offset, 0)}})
	a.status = either(e, odd, a.status, 200, 200, 206, 206, 416, 204, 500, 429, 404)
	a.tags = either(e, odd, []string{e.tag(version)}, nil, []string{"W/" + e.tag(version)}, []string{e.tag(version), e.tag(version)}, []string{e.tag(99)}, []string{e.tag(0)})
	if a.status == 416 || a.status == 204 {
		body = nil
	}
	at := e.random.IntN(size)
	again := odd
	if a.status == 206 { // the commonest mistake with ranges: the first bytes once more
		again = 3 * odd
	}
	a.body = either(e, again, body, data, data, data, data[at:], data[at:min(size, at+len(body))], data[from:max(from, to-1)], data[from:min(size, to+1)],
		append(bytes.Clone(body), 'x'), bytes.Repeat([]byte{0xee}, len(body)), data[:len(body)])
	a.typ = either(e, odd/2, a.typ, "text/html", "", "text/plain")
	a.encoding = either(e, odd/4, "", "gzip")
	content, whole := sha256.Sum256(a.body), sha256.Sum256(data)
	if e.paged() {
		whole = content
	}
	if e.random.IntN(4) == 0 {
		a.content = either(e, odd, content[:], whole[:], make([]byte, sha256.Size))
	}
	if e.random.IntN(4) == 0 {
		a.repr = either(e, odd, whole[:], content[:], make([]byte, sha256.Size))
	}
}

// frame makes up how an answer is sent.
func (e *hostileExport) frame(a *hostileAnswer, odd, cut float64) {
	a.end, a.framing, a.length = "whole", "length", len(a.body)
	if e.random.IntN(3) > 0 {
		a.framing = "chunked"
		a.trailer = e.random.IntN(2) == 0
	}
	if e.kind == "http2" {
		a.length = either(e, odd, a.length, a.length+1)
	} else {
		a.length = either(e, odd, a.length, a.length+1, max(0, a.length-1))
		a.framing = either(e, odd/2, a.framing, "close")
	}
	if a.status == 204 {
		a.body, a.framing, a.trailer = nil, "none", false
	}
	if a.framing != "chunked" {
		a.trailer = false
	}
	if len(a.body) > 0 && e.random.Float64() < cut {
		a.end = either(e, 0.5, "cut", "reset", "reset", "reset", "hang")
		if e.random.IntN(4) > 0 { // else nothing is missing but the end
			a.body = a.body[:e.random.IntN(len(a.body))]
		}
	}
}
