package jobs

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// respond answers with a status, headers (name, value, ...) and a body. Without
// a Content-Length among the headers it is chunked.
func respond(status int, body []byte, headers ...string) answer {
	return func(w *sender, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "application/x-tar")
		}
		w.WriteHeader(status)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(body)
	}
}

// whole answers with the export and its length.
func whole(headers ...string) answer {
	return respond(http.StatusOK, original(), append(headers, "Content-Length", strconv.Itoa(misbehavingSize))...)
}

// broken answers as a does, and breaks off after that, before the body's end is
// announced.
func broken(a answer) answer {
	return func(w *sender, r *http.Request) {
		a(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// verbatim answers with text, byte for byte, and closes the connection. It
// counts bytes of it as the body's.
func verbatim(text string, bytes int) answer {
	return func(w *sender, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		w.site.mu.Lock()
		w.site.sent += int64(bytes)
		w.site.mu.Unlock()
		_, _ = io.WriteString(conn, text)
	}
}

// unframed answers with a body that ends with its connection.
func unframed(body []byte, header string) answer {
	return verbatim("HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n"+header+"\r\n"+string(body), len(body))
}

func allowEmpty(p *backup.ProviderConfig) { p.AllowEmpty = true }

func bodyRows() []misbehavior {
	page := respond(http.StatusOK, []byte("<h1>Log in</h1>"), "Content-Type", "text/html; charset=utf-8")
	declared := func(c *httpexport.Config) { c.ContentType = []string{"application/x-tar"} }
	return []misbehavior{
		{name: "well", answers: []answer{whole()}, proof: backup.ProofLength},
		{name: "html", answers: []answer{page}, class: backup.ClassRetryable, message: "200 with a content type that is not declared: text/html"},
		{name: "html-declared", answers: []answer{page}, http: declared, class: backup.ClassRetryable, message: "not declared: text/html"},
		{
			name: "html-passes", answers: []answer{page, whole()}, attempts: 2, asked: []string{"", ""}, again: int64(len("<h1>Log in</h1>")),
			proof: backup.ProofLength,
		},
		{
			name: "json", answers: []answer{respond(http.StatusOK, []byte(`{"error":"later"}`), "Content-Type", "application/json")}, http: declared,
			class: backup.ClassPermanent, message: "not declared: application/json",
		},
		{
			name: "503-passes", answers: []answer{respond(http.StatusServiceUnavailable, nil), respond(http.StatusTooManyRequests, nil), whole()}, asked: []string{"", "", ""},
			proof: backup.ProofLength, // without a Retry-After, in one attempt
		},
		{name: "204", answers: []answer{respond(http.StatusNoContent, nil)}, class: backup.ClassPermanent, message: "the export is empty"},
		{name: "204-allowed", answers: []answer{respond(http.StatusNoContent, nil)}, provider: allowEmpty, proof: backup.ProofLength, content: []byte{}},
		{name: "0-bytes", answers: []answer{respond(http.StatusOK, nil, "Content-Length", "0")}, class: backup.ClassPermanent, message: "the export is empty"},
		{
			name: "0-bytes-allowed", answers: []answer{respond(http.StatusOK, nil, "Content-Length", "0")}, provider: allowEmpty,
			proof: backup.ProofLength, content: []byte{},
		},
		{name: "0-chunks", answers: []answer{respond(http.StatusOK, nil)}, class: backup.ClassPermanent, message: "the export is empty"},
		{
			name: "0-chunks-allowed", answers: []answer{respond(http.StatusOK, nil)}, provider: allowEmpty,
			proof: backup.ProofFraming, content: []byte{},
		},
		{name: "0-unframed", answers: []answer{unframed(nil, "")}, provider: allowEmpty, class: backup.ClassPermanent, message: noProof},
		{
			name: "0-unframed-declared", answers: []answer{unframed(nil, "")}, proof: backup.ProofNone, content: []byte{},
			provider: func(p *backup.ProviderConfig) { p.AllowEmpty, p.AllowUnproven = true, true },
		},
		{name: "no-length-in-time", answers: []answer{broken(whole())}, proof: backup.ProofLength}, // all of it came
	}
}

// field is the value of a digest field (RFC 9530).
func field(algorithm string, sum []byte) string {
	return algorithm + "=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

func sha256Field(data []byte) string {
	sum := sha256.Sum256(data)
	return field("sha-256", sum[:])
}

// trailing answers in chunks, with trailers (name, value, ...) behind them.
func trailing(announced bool, trailers ...string) answer {
	return func(w *sender, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-tar")
		for i := 0; announced && i < len(trailers); i += 2 {
			w.Header().Add("Trailer", trailers[i])
		}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(original())
		for i := 0; i < len(trailers); i += 2 {
			name := trailers[i]
			if !announced {
				name = http.TrailerPrefix + name
			}
			if trailers[i+1] != "" {
				w.Header().Set(name, trailers[i+1])
			}
		}
	}
}

func digestRows() []misbehavior {
	sum, long := sha256.Sum256(original()), sha512.Sum512(original())
	right, right512 := field("sha-256", sum[:]), field("sha-512", long[:])
	sum[0], long[0] = sum[0]^1, long[0]^1
	wrong, wrong512 := field("sha-256", sum[:]), field("sha-512", long[:])

	var rows []misbehavior
	proven := func(name string, a answer) {
		rows = append(rows, misbehavior{name: name, answers: []answer{a}, proof: backup.ProofDigest})
	}
	refuted := func(name, message string, a answer) {
		rows = append(rows, misbehavior{name: name, answers: []answer{a}, class: backup.ClassRetryable, message: message})
	}
	proven("digest", whole("Content-Digest", right))
	proven("digest-512", whole("Content-Digest", right512))
	proven("repr-digest", whole("Repr-Digest", right))
	proven("digest-unframed", unframed(original(), "Content-Digest: "+right+"\r\n"))
	proven("trailer", trailing(true, "Content-Digest", right))
	proven("trailer-512", trailing(true, "Content-Digest", right512))
	proven("trailer-repr", trailing(true, "Repr-Digest", right))
	proven("trailer-both", trailing(true, "Content-Digest", right, "Repr-Digest", right))
	proven("trailer-unannounced", trailing(false, "Content-Digest", right))
	proven("trailer-repr-unannounced", trailing(false, "Repr-Digest", right))

	refuted("wrong-digest", "compare Content-Digest sha-256: expected", whole("Content-Digest", wrong))
	refuted("wrong-digest-512", "compare Content-Digest sha-512: expected", whole("Content-Digest", wrong512))
	refuted("wrong-repr-digest", "the source's SHA-256 is", whole("Repr-Digest", wrong))
	refuted("wrong-repr-digest-512", "compare Repr-Digest sha-512: expected", whole("Repr-Digest", wrong512))
	refuted("digest-unframed-cut", "compare Content-Digest sha-256: expected", unframed(original()[:200_000], "Content-Digest: "+right+"\r\n"))
	refuted("wrong-trailer", "compare Content-Digest sha-256: expected", trailing(true, "Content-Digest", wrong))
	refuted("wrong-trailer-repr", "the source's SHA-256 is", trailing(true, "Repr-Digest", wrong))
	refuted("wrong-trailer-unannounced", "the source's SHA-256 is", trailing(false, "Content-Digest", wrong))
	refuted("trailer-cut", fmt.Sprintf(brokenOff, misbehavingSize)+"unexpected EOF", broken(trailing(true, "Content-Digest", right)))
	return append(rows,
		misbehavior{
			name: "trailer-missing", answers: []answer{trailing(true, "Content-Digest", "")}, proof: backup.ProofFraming,
		},
		misbehavior{
			name: "digest-too-short", answers: []answer{whole("Content-Digest", "sha-256=:YWJj:")},
			class: backup.ClassPermanent, message: "its sha-256 digest is not 32 bytes",
		},
		misbehavior{
			name: "digest-again", answers: []answer{whole("ETag", `"v1"`, "Content-Digest", wrong), whole("ETag", `"v1"`, "Content-Digest", right)},
			attempts: 2, asked: []string{"", ""}, again: misbehavingSize, proof: backup.ProofDigest, // what was refuted is not gone on from
		})
}
