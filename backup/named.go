package backup

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
)

// named are a statement's arguments by name, as strict as pgx.StrictNamedArgs.
// Those read a statement anew, rune by rune, each time it is executed, which took
// a tenth of a worker's time; here each is read once.
type named map[string]any

// rewritten is a statement with numbers in place of names, and the names in
// their order.
type rewritten struct {
	query string
	names []string
}

// rewrites has each statement that was ever executed: they are constants, but for
// the schema's name.
var rewrites sync.Map // of *rewritten, by the statement

// RewriteQuery is pgx's.
func (n named) RewriteQuery(ctx context.Context, conn *pgx.Conn, query string, args []any) (string, []any, error) {
	known, ok := rewrites.Load(query)
	if !ok {
		names := make(pgx.StrictNamedArgs, len(n))
		for name := range n {
			names[name] = name
		}
		numbered, order, err := names.RewriteQuery(ctx, conn, query, nil)
		if err != nil {
			return "", nil, err
		}
		r := &rewritten{query: numbered, names: make([]string, len(order))}
		for i, name := range order {
			r.names[i], _ = name.(string)
		}
		known, _ = rewrites.LoadOrStore(query, r)
	}
	r, _ := known.(*rewritten)
	values := make([]any, len(r.names))
	for i, name := range r.names {
		value, ok := n[name]
		if !ok || len(n) != len(r.names) {
			return pgx.StrictNamedArgs(n).RewriteQuery(ctx, conn, query, args) // says what is wrong
		}
		values[i] = value
	}
	return r.query, values, nil
}
