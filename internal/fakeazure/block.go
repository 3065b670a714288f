package fakeazure

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
)

const (
	maxBlockID     = 64
	maxUncommitted = 100_000
	maxCommitted   = 50_000
)

// putBlock is Put Block.
func (h *Handler) putBlock(w http.ResponseWriter, r *request) *failure {
	id := r.URL.Query().Get("blockid")
	raw, err := base64.StdEncoding.DecodeString(id)
	switch {
	case err != nil || len(raw) == 0 || len(raw) > maxBlockID:
		return errBlockID
	case r.ContentLength == 0:
		return errEmptyBlock
	}
	b, failed := h.receive(w, r)
	if failed != nil {
		return failed
	}
	b.id = id
	if failed := h.stage(r, b); failed != nil {
		return failed
	}
	h.blocks.Add(1)
	h.bytes.Add(b.size)
	h.answer(w, r, http.StatusCreated)
	return nil
}

func (h *Handler) stage(r *request, b block) *failure {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	c, blob, err := h.state.find(r)
	if err != nil {
		return err
	}
	for other := range blob.staged {
		if len(other) != len(b.id) {
			return errBlockIDLength
		}
		break // they have one length
	}
	if _, again := blob.staged[b.id]; !again && len(blob.staged) >= maxUncommitted {
		return errTooManyBlocks
	}
	blob.staged[b.id] = b
	c.blobs[r.blob] = blob
	return nil
}

// entry is a line of a block list: where the block is to be looked for.
type entry struct{ from, id string }

// putBlockList is Put Block List.
func (h *Handler) putBlockList(w http.ResponseWriter, r *request) *failure {
	list, err := readBlockList(r.Body)
	if err != nil {
		return err
	}
	o := r.newObject()
	if err := h.commit(r, list, o); err != nil {
		return err
	}
	h.commits.Add(1)
	describe(w, o.etag, o.modified)
	h.answer(w, r, http.StatusCreated)
	return nil
}

func readBlockList(body io.Reader) ([]entry, *failure) {
	d := xml.NewDecoder(body)
	var list []entry
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, errXML
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local == "BlockList" {
			continue
		}
		e := entry{from: start.Name.Local}
		if err := d.DecodeElement(&e.id, &start); err != nil {
			return nil, errXML
		}
		if list = append(list, e); len(list) > maxCommitted {
			return nil, errBlockListLong
		}
	}
}

// commit makes o of the blocks that list names.
func (h *Handler) commit(r *request, list []entry, o *object) *failure {
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	c, b, err := h.state.find(r)
	if err != nil {
		return err
	}
	if err := r.checkWrite(b.committed); err != nil {
		return err
	}
	for _, e := range list {
		found, err := b.block(e)
		if err != nil {
			return err
		}
		o.blocks = append(o.blocks, found)
		o.size += found.size
	}
	h.state.commit(c, r, b, o)
	return nil
}

// block finds the block that e names.
func (b *blob) block(e entry) (block, *failure) {
	staged, isStaged := b.staged[e.id]
	switch e.from {
	case "Latest", "Uncommitted":
		if isStaged {
			return staged, nil
		}
	case "Committed":
	default:
		return block{}, errUnknownListName
	}
	if e.from != "Uncommitted" && b.committed != nil {
		for _, old := range b.committed.blocks {
			if old.id == e.id && !b.committed.whole {
				return old, nil
			}
		}
	}
	return block{}, errBlockList
}

type blockXML struct {
	Name string
	Size int64
}

// getBlockList is Get Block List.
func (h *Handler) getBlockList(w http.ResponseWriter, r *request) *failure {
	var doc struct {
		XMLName     xml.Name    `xml:"BlockList"`
		Committed   *[]blockXML `xml:"CommittedBlocks>Block"`
		Uncommitted *[]blockXML `xml:"UncommittedBlocks>Block"`
	}
	h.state.mu.Lock()
	_, b, err := h.state.find(r)
	if err == nil && b.committed == nil && len(b.staged) == 0 {
		err = errBlobNotFound
	}
	if err != nil {
		h.state.mu.Unlock()
		return err
	}
	committed, staged := []blockXML{}, []blockXML{}
	if o := b.committed; o != nil {
		describe(w, o.etag, o.modified)
		w.Header().Set("X-Ms-Blob-Content-Length", strconv.FormatInt(o.size, 10))
		for _, block := range o.blocks {
			if !o.whole {
				committed = append(committed, blockXML{block.id, block.size})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.staged)) {
		staged = append(staged, blockXML{id, b.staged[id].size})
	}
	h.state.mu.Unlock()
	switch r.URL.Query().Get("blocklisttype") {
	case "", "committed":
		doc.Committed = &committed
	case "uncommitted":
		doc.Uncommitted = &staged
	case "all":
		doc.Committed, doc.Uncommitted = &committed, &staged
	default:
		return errQuery
	}
	h.wait(r)
	writeXML(w, http.StatusOK, &doc)
	return nil
}
