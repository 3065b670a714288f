package env

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const azuritePatience = time.Minute

func (o *AzuriteOptions) startFetched(ctx context.Context) (*Azurite, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir(o.CacheDir)
	if err != nil {
		return nil, err
	}
	module, err := azuritePackage.fetch(ctx, cache, o.Log)
	if err != nil {
		return nil, err
	}
	dir, err := openWorkDir("azurite", o.Dir, currentAccount())
	if err != nil {
		return nil, err
	}
	addr, server, err := o.runNode(ctx, node, module, dir.path)
	if err != nil {
		return nil, errors.Join(err, dir.close())
	}
	stop := func(ctx context.Context) error { return errors.Join(stopNode(ctx, server), dir.close()) }
	return newAzurite(addr, "the npm package "+azuritePackage.String(), stop), nil
}

var azuriteListens = regexp.MustCompile(`successfully listens on http://(\S+)`)

// Azurite saves what it keeps in memory when it gets SIGTERM; but it begins to handle that signal only
// some time after it says that it listens, and until then would end without a word. So node is given
// this module first, which keeps an early signal until Azurite handles it.
const patientNode = `let told = false;
process.on("SIGTERM", () => {
  if (told) return;
  told = true;
  if (process.listenerCount("SIGTERM") > 1) return;
  let left = 200;
  const timer = setInterval(() => {
    if (--left < 0) process.exit(1);
    if (process.listenerCount("SIGTERM") < 2) return;
    clearInterval(timer);
    process.emit("SIGTERM");
  }, 50);
});`

// runNode runs Azurite with node itself: npx and its like would leave a process in between.
func (o *AzuriteOptions) runNode(ctx context.Context, node, module, dir string) (string, *process, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, azuritePatience, fmt.Errorf("not ready after %v", azuritePatience))
	defer cancel()
	cmd := command(ctx, node, append([]string{
		"--import", "data:text/javascript," + url.PathEscape(patientNode), filepath.Join(module, "dist", "src", "blob", "main.js"),
		"--location", dir, "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(o.Port),
	}, azuriteFlags...)...)
	cmd.Dir = dir
	found := make(chan string, 1)
	output := newTail("azurite", o.Log, func(line string) {
		if match := azuriteListens.FindStringSubmatch(line); match != nil {
			select {
			case found <- match[1]:
			default:
			}
		}
	})
	server, err := startProcess(cmd, syscall.SIGTERM, output)
	if err != nil {
		return "", nil, err
	}
	select {
	case addr := <-found:
		return addr, server, nil
	case <-server.done:
		err = server.endedBy()
		if strings.Contains(output.String(), "EADDRINUSE") {
			err = fmt.Errorf("%w: port %d: %w", err, o.Port, ErrPortTaken)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	err = fmt.Errorf("start azurite: %w; its last output:\n%s", err, output)
	return "", nil, errors.Join(err, stopNode(context.WithoutCancel(ctx), server))
}

// azuriteFlags let the SDK's newest API version in, and keep the rest quiet.
var azuriteFlags = []string{"--silent", "--skipApiVersionCheck", "--disableTelemetry"}

func stopNode(ctx context.Context, server *process) error {
	return server.stop(ctx, step{syscall.SIGTERM, 20 * time.Second})
}

func (o *AzuriteOptions) startContainer(ctx context.Context) (*Azurite, error) {
	r, err := runContainer(ctx, container{
		name: "azurite", image: o.Image, port: "10000",
		command: append([]string{"azurite-blob", "--location", "/data", "--blobHost", "0.0.0.0"}, azuriteFlags...),
	}, o.Log, probeHTTP)
	if err != nil {
		return nil, err
	}
	return newAzurite(r.addr, "the container image "+o.Image, r.stop), nil
}

// probeHTTP asks for any answer at all.
func probeHTTP(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}
