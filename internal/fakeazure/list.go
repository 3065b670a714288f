package fakeazure

import (
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxListed = 5000

type listXML struct {
	XMLName    xml.Name `xml:"EnumerationResults"`
	Container  string   `xml:"ContainerName,attr"`
	Prefix     string
	Marker     string
	MaxResults int
	Blobs      []blobXML `xml:"Blobs>Blob"`
	NextMarker string
}

type blobXML struct {
	Name       string
	Properties struct {
		LastModified  string `xml:"Last-Modified"`
		Etag          string
		ContentLength int64  `xml:"Content-Length"`
		ContentType   string `xml:"Content-Type"`
		BlobType      string
	}
	Metadata *metadataXML
}

// metadataXML has an element for each name.
type metadataXML struct{ Values []metaXML }

type metaXML struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// listBlobs is List Blobs, without a delimiter.
func (h *Handler) listBlobs(w http.ResponseWriter, r *request) *failure {
	q := r.URL.Query()
	if q.Get("delimiter") != "" {
		return errNotImplemented
	}
	doc := listXML{Container: r.container, Prefix: q.Get("prefix"), Marker: q.Get("marker"), MaxResults: maxListed}
	if s := q.Get("maxresults"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return errQuery
		}
		doc.MaxResults = min(n, maxListed)
	}
	withMetadata := slices.Contains(strings.Split(q.Get("include"), ","), "metadata")
	if err := h.state.list(&doc, withMetadata); err != nil {
		return err
	}
	h.wait(r)
	writeXML(w, http.StatusOK, &doc)
	return nil
}

// list fills doc with the blobs from its marker on, which is the name of the first one.
func (s *state) list(doc *listXML, withMetadata bool) *failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[doc.Container]
	if c == nil {
		return errContainerNotFound
	}
	for _, name := range slices.Sorted(maps.Keys(c.blobs)) {
		o := c.blobs[name].committed
		if o == nil || !strings.HasPrefix(name, doc.Prefix) || name < doc.Marker {
			continue
		}
		if len(doc.Blobs) == doc.MaxResults {
			doc.NextMarker = name
			break
		}
		doc.Blobs = append(doc.Blobs, o.listed(name, withMetadata))
	}
	return nil
}

func (o *object) listed(name string, withMetadata bool) blobXML {
	b := blobXML{Name: name}
	b.Properties.LastModified = o.modified.Format(http.TimeFormat)
	b.Properties.Etag = strings.Trim(o.etag, `"`)
	b.Properties.ContentLength = o.size
	b.Properties.ContentType = o.contentType
	b.Properties.BlobType = "BlockBlob"
	if withMetadata {
		b.Metadata = &metadataXML{}
		for _, key := range slices.Sorted(maps.Keys(o.metadata)) {
			b.Metadata.Values = append(b.Metadata.Values, metaXML{xml.Name{Local: key}, o.metadata[key]})
		}
	}
	return b
}
