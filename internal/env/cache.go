package env

import (
	"fmt"
	"os"
	"path/filepath"
)

// cacheDir returns where fetched programs are kept. Root's own cache is closed to the user as which
// root runs the server, so root keeps them where every user can get to.
func cacheDir(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/sitebackup", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache: %w", err)
	}
	return filepath.Join(dir, "sitebackup"), nil
}
