package jobs

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// misbehavingCut is where the first answers of these sources break off, in the
// middle of a part.
const misbehavingCut = 200_000

// cut answers with the export and its length, and breaks off.
func cut(headers ...string) answer {
	headers = append(headers, "Content-Length", strconv.Itoa(misbehavingSize))
	return broken(respond(http.StatusOK, original()[:misbehavingCut], headers...))
}

// part answers 206 with what follows offset, of an export that has total bytes.
func part(offset int, total string, headers ...string) answer {
	span := fmt.Sprintf("bytes %d-%d/%s", offset, misbehavingSize-1, total)
	return respond(http.StatusPartialContent, original()[offset:], append(headers, "Content-Range", span)...)
}

// unread makes an answer send its headers only: what it would be about is never
// read, and nobody knows how much of it would be on its way.
func unread(a answer) answer {
	return func(w *sender, r *http.Request) {
		a(&sender{headersOnly{w.ResponseWriter}, &misbehavingSite{}}, r)
		<-r.Context().Done()
	}
}

type headersOnly struct{ http.ResponseWriter }

func (h headersOnly) Unwrap() http.ResponseWriter { return h.ResponseWriter }
func (headersOnly) Write(p []byte) (int, error)   { return len(p), nil }

const misbehavingDate = "Wed, 01 Jan 2020 00:00:00 GMT"

const goOn = `bytes=200000- "v1"`

// resumeRows are sources that can be gone on from.
func resumeRows() []misbehavior {
	total := strconv.Itoa(misbehavingSize)
	tag := []string{"ETag", `"v1"`}
	row := func(name string, proof backup.Proof, again int64, answers ...answer) misbehavior {
		asked := []string{"", goOn}
		return misbehavior{name: name, answers: answers, attempts: 2, asked: asked, again: again, proof: proof}
	}
	dated := row("206-dated", backup.ProofLength, 0, cut("Last-Modified", misbehavingDate), part(misbehavingCut, total))
	dated.asked[1] = "bytes=200000- " + misbehavingDate
	// An attempt that came further begins the count of attempts again.
	twice := row("206-cut", backup.ProofLength, 0, cut(tag...),
		broken(respond(http.StatusPartialContent, original()[misbehavingCut:250_000], append(tag, "Content-Length", "100000", "Content-Range", "bytes 200000-299999/300000")...)),
		part(250_000, total, tag...))
	twice.asked = append(twice.asked, `bytes=250000- "v1"`)
	less := row("206-less", backup.ProofLength, 0, cut(tag...),
		respond(http.StatusPartialContent, original()[misbehavingCut:250_000], append(tag, "Content-Range", "bytes 200000-249999/300000")...),
		part(250_000, total, tag...))
	less.asked = twice.asked
	// The source doesn't know the total until it is asked for what follows it.
	open := row("206-total-unknown", backup.ProofLength, 0, cut(tag...), part(misbehavingCut, "*", tag...),
		respond(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", "bytes */300000"))
	open.asked = append(open.asked, `bytes=300000- "v1"`)
	end := row("416-at-the-end", backup.ProofLength, 0, broken(respond(http.StatusOK, original(), tag...)),
		respond(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", "bytes */300000"))
	end.asked = open.asked[:1:1]
	end.asked = append(end.asked, `bytes=300000- "v1"`)
	// What the first answer said of the whole proves it.
	said := row("206-digest-kept", backup.ProofDigest, 0, cut(append(tag, "Content-Digest", sha256Field(original()))...), part(misbehavingCut, total, tag...))
	return []misbehavior{
		said,
		row("206", backup.ProofLength, 0, cut(tag...), part(misbehavingCut, total, tag...)),
		dated, twice, less, open, end,
	}
}

// startOverRows are sources whose answers can't be joined to what is stored.
func startOverRows() []misbehavior {
	total := strconv.Itoa(misbehavingSize)
	tag := []string{"ETag", `"v1"`}
	row := func(name string, again int64, second answer, more ...answer) misbehavior {
		r := misbehavior{name: name, attempts: 2, asked: []string{"", goOn}, again: again, proof: backup.ProofLength}
		r.answers = append([]answer{cut(tag...), second}, more...)
		for range more {
			r.asked = append(r.asked, "")
		}
		return r
	}
	changed := row("200-changed", misbehavingCut, respond(http.StatusOK, noise()[7:misbehavingSize], "ETag", `"v2"`, "Content-Length", strconv.Itoa(misbehavingSize-7)))
	changed.content = noise()[7:misbehavingSize]
	weak := row("200-weak", misbehavingCut, whole("ETag", `W/"v1"`))
	weak.answers[0], weak.asked[1] = cut("ETag", `W/"v1"`), ""
	none := row("200-without-etag", misbehavingCut, whole())
	none.answers[0], none.asked[1] = cut(), ""
	end := row("416-total-changed", misbehavingSize, respond(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", "bytes */300001"), whole(tag...))
	end.answers[0], end.asked[1] = broken(respond(http.StatusOK, original(), tag...)), `bytes=300000- "v1"`
	// The export was changed since, and has as many bytes as are stored of the other one.
	dated := row("416-dated-changed", misbehavingCut,
		respond(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", "bytes */200000", "Last-Modified", "Thu, 02 Jan 2020 00:00:00 GMT"), whole())
	dated.answers[0], dated.asked[1] = broken(respond(http.StatusOK, original()[:misbehavingCut], "Last-Modified", misbehavingDate)), "bytes=200000- "+misbehavingDate
	// The total shows that the validator doesn't tell one export from another.
	grown := row("206-total-changed", misbehavingCut, unread(part(misbehavingCut, "300001", tag...)), whole(tag...))
	grown.attempts = 3
	refuted := row("206-refuted", misbehavingSize, part(misbehavingCut, total, append(tag, "Repr-Digest", field("sha-256", make([]byte, 32)))...), whole(tag...))
	refuted.attempts = 3
	// What was announced first stands, though the answers after it are as if the
	// export were shorter.
	shrunk := row("206-total-forgotten", 250_000,
		respond(http.StatusPartialContent, original()[misbehavingCut:250_000], append(tag, "Content-Range", "bytes 200000-249999/*")...),
		respond(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", "bytes */250000"), whole(tag...))
	shrunk.asked[2], shrunk.attempts = `bytes=250000- "v1"`, 3
	// A part has its own digest, and isn't what it is of; the export goes on behind it.
	bad := bytes.Clone(original())
	bad[210_000] ^= 1
	damaged := row("206-less-refuted", 250_000,
		respond(http.StatusPartialContent, bad[misbehavingCut:250_000], append(tag, "Content-Range", "bytes 200000-249999/300000", "Content-Digest", sha256Field(original()[misbehavingCut:250_000]))...),
		whole(tag...))
	damaged.attempts = 3
	// What is stored was damaged, and only the first answer has the digest of it all.
	early := row("206-digest-before", misbehavingSize, part(misbehavingCut, total, tag...), whole(append(tag, "Repr-Digest", sha256Field(original()))...))
	bad[10] ^= 1
	early.answers[0] = broken(respond(http.StatusOK, bad[:misbehavingCut], append(tag, "Content-Length", total, "Repr-Digest", sha256Field(original()))...))
	early.attempts, early.proof = 3, backup.ProofDigest
	other := row("206-digest-changed", misbehavingCut, unread(part(misbehavingCut, total, append(tag, "Repr-Digest", sha256Field(nil))...)), whole(tag...))
	other.answers[0], other.attempts = cut(append(tag, "Repr-Digest", sha256Field(original()))...), 3
	// An answer to a request for a part that has the first bytes again, in chunks: more
	// of them than the part it says it is, or just as many as the export still lacks.
	surplus := func(name string, body []byte, span string) misbehavior {
		again := func(w *sender, r *http.Request) {
			if r.Header.Get("Range") != "" {
				respond(http.StatusRequestedRangeNotSatisfiable, nil, "Content-Range", "bytes */300000")(w, r)
				return
			}
			whole(tag...)(w, r)
		}
		r := row(name, 0, respond(http.StatusPartialContent, body, append(tag, "Content-Range", span)...), again)
		r.unasked, r.attempts = true, 3
		return r
	}
	// It has the part that was asked for, and says so, but not in its status.
	tail := row("200-of-a-part", 0, respond(http.StatusOK, original()[misbehavingCut:],
		append(tag, "Content-Range", "bytes 200000-299999/300000", "Content-Length", "100000")...), whole(tag...))
	tail.unasked = true
	// It has nothing to say to the question for a part, which isn't to say that there is nothing.
	nothing := row("204-of-a-part", misbehavingCut, respond(http.StatusNoContent, nil), whole(tag...))
	nothing.provider = allowEmpty
	return []misbehavior{
		nothing,
		surplus("206-whole", original(), "bytes 200000-299999/300000"),
		surplus("206-more", original()[:100_000], "bytes 200000-249999/300000"),
		surplus("206-more-total-unknown", original()[:100_000], "bytes 200000-249999/*"),
		tail,
		row("200-same", misbehavingCut, whole(tag...)),
		changed, weak, none, end, dated, grown, refuted, shrunk, damaged, early, other,
		row("206-wrong-range", misbehavingCut, unread(part(100_000, total, tag...)), whole(tag...)),
		row("206-from-0", misbehavingCut, unread(part(0, total, tag...)), whole(tag...)),
		row("206-without-range", misbehavingCut, unread(respond(http.StatusPartialContent, original(), tag...)), whole(tag...)),
		row("206-changed", misbehavingCut, unread(part(misbehavingCut, total, "ETag", `"v2"`)), whole("ETag", `"v2"`)),
		row("206-weak", misbehavingCut, unread(part(misbehavingCut, total, "ETag", `W/"v1"`)), whole(tag...)),
		row("206-multipart", misbehavingCut, unread(part(misbehavingCut, total, append(tag, "Content-Type", "multipart/byteranges; boundary=x")...)), whole(tag...)),
	}
}

// redirectRows are sources that send us elsewhere.
func redirectRows(other string) []misbehavior {
	to := func(status int) []answer {
		return []answer{func(w *sender, _ *http.Request) {
			w.Header().Set("Location", other+"/elsewhere?token=secret")
			w.WriteHeader(status)
		}}
	}
	credential := func(c *httpexport.Config) {
		c.Authorize = func(_ context.Context, r *http.Request, _ *backup.ExportRequest) error {
			r.Header.Set("Authorization", "Bearer secret")
			return nil
		}
	}
	allowed := func(c *httpexport.Config) {
		credential(c)
		c.AllowedRedirectHosts = []string{strings.TrimPrefix(other, "http://")}
	}
	return []misbehavior{
		{
			name: "redirect", answers: to(http.StatusFound), http: credential,
			class: backup.ClassRetryable, message: "302 Found: it leads to " + other + ", which is not allowed",
		},
		{
			name: "redirect-for-good", answers: to(http.StatusMovedPermanently), http: credential,
			class: backup.ClassPermanent, message: "301 Moved Permanently: it leads to " + other + ", which is not allowed",
		},
		{name: "redirect-allowed", answers: to(http.StatusTemporaryRedirect), http: allowed, proof: backup.ProofLength, unasked: true},
	}
}
