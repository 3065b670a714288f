package envtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Page is what a browser made of a page.
type Page struct {
	DOM string // when its scripts had run
	Log string // the browser's; lines with CONSOLE are what the page's console got
}

// Browse opens a page of this machine in headless Chromium, which finds no other
// host: none has a name for it. Without a Chromium the test is skipped, or fails
// where BACKUP_TEST_NO_SKIP is 1. With BACKUP_TEST_PICTURES, a directory, it leaves a
// picture of the page there, under the test's name.
func Browse(t testing.TB, url string) Page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(),
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr", "--v=0",
		"--virtual-time-budget=20000", "--window-size=1400,1000", "--dump-dom",
	}
	if dir := os.Getenv("BACKUP_TEST_PICTURES"); dir != "" {
		args = append(args, "--screenshot="+dir+"/"+strings.ReplaceAll(t.Name(), "/", "-")+".png")
	}
	cmd := exec.CommandContext(ctx, browser(t), append(args, url)...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("browse %s: %v\n%s", url, err, &log)
	}
	return Page{DOM: out.String(), Log: log.String()}
}

func browser(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("BACKUP_TEST_NO_SKIP") == "1" {
		t.Fatal("there is no Chromium here")
	}
	t.Skip("there is no Chromium here")
	return ""
}
