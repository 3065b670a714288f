package backup

import (
	"encoding/json"
	"fmt"
	"time"
)

// ManifestVersion is the version of the manifests that this release writes.
const ManifestVersion = 1

// ManifestContentType is the media type of a manifest's object.
const ManifestContentType = "application/json"

// Manifest tells what a backup consists of, so that its copy can be proven
// with nothing but it and the objects. It is written last: without a manifest
// there is no backup.
type Manifest struct {
	Version   int               `json:"version"`
	BackupID  string            `json:"backupId"`
	UserID    string            `json:"userId"`
	SiteID    string            `json:"siteId"`
	Labels    map[string]string `json:"labels,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
	Objects   []ManifestObject  `json:"objects"` // in the order of their providers
}

// ManifestObject is one provider's export.
type ManifestObject struct {
	Provider    string         `json:"provider"`
	Key         string         `json:"key"` // in the store
	UploadID    string         `json:"uploadId"`
	ContentType string         `json:"contentType,omitempty"`
	Size        int64          `json:"size"`   // bytes
	SHA256      string         `json:"sha256"` // of the whole object, 64 hexadecimal digits
	Proof       Proof          `json:"proof"`  // how the end of the source's stream was proven
	Capture     Capture        `json:"capture"`
	Parts       []ManifestPart `json:"parts"`
}

// Capture is the interval in which an export was read from its source.
type Capture struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// ManifestPart is a piece of an object; they follow each other without a gap.
type ManifestPart struct {
	Size  int64  `json:"size"`  // bytes
	CRC64 string `json:"crc64"` // CRC-64/NVME, 16 hexadecimal digits
}

// buildManifest makes the manifest from rows alone, so that every worker that
// seals this backup makes the same bytes. The tasks are in the order of their
// providers, and parts is by the tasks' ids.
func buildManifest(b *Backup, tasks []*Task, parts map[string][]ManifestPart) ([]byte, error) {
	m := Manifest{Version: ManifestVersion, BackupID: b.ID, UserID: b.UserID, SiteID: b.SiteID, Labels: b.Labels, CreatedAt: b.CreatedAt.UTC()}
	for _, t := range tasks {
		if t.State != TaskDone {
			return nil, fmt.Errorf("build manifest: task %s is %s", t.Provider, t.State)
		}
		m.Objects = append(m.Objects, ManifestObject{
			Provider: t.Provider, Key: t.ObjectKey, UploadID: t.uploadID.String(), ContentType: t.ContentType,
			Size: t.Size, SHA256: hexOf(t.SHA256), Proof: t.Proof,
			Capture: Capture{From: t.CaptureStartedAt.UTC(), To: t.CaptureFinishedAt.UTC()},
			Parts:   append([]ManifestPart{}, parts[t.ID]...),
		})
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(data, '\n'), nil
}
