package main

import (
	"bytes"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vbauerster/mpb/v8"

	"github.com/sitebackup/sitebackup/httpapi/client"
)

// The bars of a terminal: one for each export, with its size where that is known.
func TestProgressBars(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	refresh := make(chan any)
	p := barsOn(&out, mpb.WithManualRefresh(refresh))
	announced, size := int64(4<<20), int64(3<<20)
	b := &client.Backup{Tasks: []client.Task{
		{Provider: "db", ReceivedBytes: 1 << 20, AnnouncedSize: &announced},
		{Provider: "files", ReceivedBytes: 512 << 10},
		{Provider: "site", StoredBytes: 1 << 20, Size: &size},
	}}
	p.backup(b)
	b.Tasks[0].ReceivedBytes = 2 << 20
	p.backup(b)
	refresh <- nil
	p.end()
	text := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAllString(out.String(), "")
	for _, want := range []string{`(?m)^db +2\.0 MiB of 4\.0 MiB \[=+>-+\] .*/s *$`, `(?m)^files +512 KiB \[-+\] .*/s *$`, `(?m)^site +3\.0 MiB of 3\.0 MiB \[=+>?\] .*/s *$`} {
		require.Regexp(t, want, text)
	}

	none := &progress{} // where nobody looks
	none.backup(b)
	none.end()
}
