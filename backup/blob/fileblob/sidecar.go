package fileblob

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sitebackup/sitebackup/backup/blob"
)

// maxHeader bounds the first line of a sidecar. Metadata is small.
const maxHeader = 1 << 20

// header is the first line of a sidecar, in JSON. The parts follow, one a line:
// id and size. So Stat needs to read only the beginning.
type header struct {
	Key         string            `json:"key"`
	Size        int64             `json:"size"`
	ContentType string            `json:"contentType,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Parts       int               `json:"parts"`
}

func (h *header) info() blob.Info {
	return blob.Info{ContentType: h.ContentType, Metadata: h.Metadata}
}

// encodeSidecar writes the sidecar of an object.
func encodeSidecar(h *header, parts []blob.Part) ([]byte, error) {
	line, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	if len(line) > maxHeader {
		return nil, fmt.Errorf("metadata of %d bytes is too long", len(line))
	}
	var b bytes.Buffer
	b.Write(line)
	b.WriteByte('\n')
	for _, p := range parts {
		fmt.Fprintf(&b, "%s %d\n", p.ID, p.Size)
	}
	return b.Bytes(), nil
}

// sidecar is an open sidecar whose header was read.
type sidecar struct {
	header
	file *os.File
	rest *bufio.Reader
}

// openSidecar opens the sidecar of key. It returns nil if there is none: a file
// that somebody has put into the directory is an object without metadata.
func (s *Store) openSidecar(key string) (*sidecar, error) {
	f, err := s.root.Open(sidecarOf(key))
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &sidecar{file: f, rest: bufio.NewReader(f)}
	if err := c.readHeader(key); err != nil {
		c.close()
		return nil, fmt.Errorf("read sidecar: %w", err)
	}
	return c, nil
}

func (c *sidecar) readHeader(key string) error {
	h, length, err := decodeHeader(c.file)
	if err != nil {
		return err
	}
	if c.header = *h; c.Key != key {
		return fmt.Errorf("it belongs to %q", c.Key)
	}
	_, err = c.file.Seek(length, io.SeekStart)
	return err
}

// decodeHeader reads the first line, which has length bytes.
func decodeHeader(r io.Reader) (h *header, length int64, err error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxHeader+1)).ReadBytes('\n')
	if err != nil {
		return nil, 0, err
	}
	h = new(header)
	if err := json.Unmarshal(line, h); err != nil {
		return nil, 0, err
	}
	return h, int64(len(line)), nil
}

// readParts reads the list of parts.
func (c *sidecar) readParts() ([]blob.Part, error) {
	if c.Parts < 0 || c.Parts > blob.MaxParts {
		return nil, fmt.Errorf("read sidecar: it has %d parts", c.Parts)
	}
	parts := make([]blob.Part, 0, c.Parts)
	for range c.Parts {
		var id string
		var p blob.Part
		if _, err := fmt.Fscanf(c.rest, "%s %d\n", &id, &p.Size); err != nil {
			return nil, fmt.Errorf("read sidecar: part %d: %w", len(parts), err)
		}
		var err error
		if p.ID, err = blob.ParsePartID(id); err != nil {
			return nil, fmt.Errorf("read sidecar: %w", err)
		}
		parts = append(parts, p)
	}
	if _, err := c.rest.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read sidecar: it goes on behind its last part")
	}
	return parts, nil
}

func (c *sidecar) close() {
	if c != nil {
		_ = c.file.Close() // it was only read
	}
}
