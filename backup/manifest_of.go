package backup

import (
	"context"
	"fmt"
)

// Manifest is the manifest of a backup that is done, byte for byte as it was
// written to the store: ErrNotFound. It comes from the database. A backup in any
// other state gives a *StateError.
func (c *Client) Manifest(ctx context.Context, id string) ([]byte, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	if c.cfg.Pool == nil {
		return nil, errNoPool
	}
	var state State
	var data []byte
	err := c.cfg.Pool.QueryRow(ctx, c.sql(`SELECT state, manifest FROM {{schema}}.backup WHERE id = @id`), named{"id": id}).Scan(&state, &data)
	switch {
	case isNoRows(err):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("read manifest: %w", err)
	case state != StateDone:
		return nil, &StateError{Verb: "read the manifest of", State: state}
	}
	return data, nil
}
