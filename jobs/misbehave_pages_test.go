package jobs

import (
	"fmt"
	"net/http"

	"github.com/sitebackup/sitebackup/backup"
	"github.com/sitebackup/sitebackup/backup/httpexport"
)

// misbehavingPage is the length of the pages of those exports, not a multiple of
// a part.
const misbehavingPage = 100_000

// page answers with a page, and names the next one unless it is the last. A request
// for another page is refused.
func page(i int, headers ...string) answer {
	return func(w *sender, r *http.Request) {
		want := ""
		if i > 0 {
			want = fmt.Sprintf("page=%d", i)
		}
		if r.URL.RawQuery != want {
			http.Error(w.ResponseWriter, "another page was expected", http.StatusTeapot)
			return
		}
		if at := (i + 1) * misbehavingPage; at < misbehavingSize {
			headers = append(headers[:len(headers):len(headers)], "Link", fmt.Sprintf(`<?page=%d>; rel="next"`, i+1))
		}
		respond(http.StatusOK, original()[i*misbehavingPage:(i+1)*misbehavingPage], headers...)(w, r)
	}
}

// pagedRows are sources that send pages: an attempt goes on behind the last page
// that was stored.
func pagedRows() []misbehavior {
	paged := func(c *httpexport.Config) { c.Pages = &httpexport.Pages{} }
	cutPage := broken(func(w *sender, r *http.Request) {
		respond(http.StatusOK, original()[misbehavingPage:misbehavingPage+70_000], "Link", `<?page=2>; rel="next"`)(w, r)
	})
	busy := func(w *sender, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	unproven := verbatim("HTTP/1.1 200 OK\r\nContent-Type: application/x-tar\r\n\r\n"+string(original()[misbehavingPage:2*misbehavingPage]), misbehavingPage)
	return []misbehavior{
		{
			name: "pages", http: paged, answers: []answer{page(0), page(1, "Content-Length", "100000"), page(2)},
			asked: []string{"", "", ""}, proof: backup.ProofFraming,
		},
		{
			name: "pages-cut", http: paged, answers: []answer{page(0), cutPage, page(1), page(2)},
			attempts: 2, asked: []string{"", "", "", ""}, again: 70_000, proof: backup.ProofFraming,
		},
		{
			name: "pages-429", http: paged, answers: []answer{page(0), busy, page(1), page(2)},
			asked: []string{"", "", "", ""}, proof: backup.ProofFraming,
		},
		{
			name: "pages-unproven", http: paged, answers: []answer{page(0), unproven},
			asked: []string{"", ""}, class: backup.ClassPermanent, message: "nothing proves the end of the page",
		},
		{
			name: "pages-in-a-circle", http: paged, asked: []string{"", ""}, class: backup.ClassPermanent, message: "its next page is an earlier one",
			answers: []answer{page(0), respond(http.StatusOK, []byte("x"), "Link", `<?page=1>; rel="next"`)},
		},
	}
}
