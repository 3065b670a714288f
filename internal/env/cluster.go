package env

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const clusterUser = "backup"

// initPatience bounds the making of a database, also on a slow disk.
const initPatience = 2 * time.Minute

// cluster is a database directory and the server that runs on it.
type cluster struct {
	programs binaries
	account  account
	opts     *PostgresOptions
	dir      *workDir
	password string
	freePort func(context.Context) (int, error)
	port     int
	server   *process
}

// openCluster takes the directory, and makes the database in it if there is none.
func openCluster(ctx context.Context, b binaries, o *PostgresOptions) (*cluster, error) {
	c := &cluster{programs: b, account: serverAccount(), opts: o, freePort: freePort}
	if err := c.account.checkReach(b.dir); err != nil {
		return nil, err
	}
	dir, err := openWorkDir("postgres", o.Dir, c.account)
	if err != nil {
		return nil, err
	}
	c.dir = dir
	if err := c.loadPassword(); err != nil {
		return nil, errors.Join(err, dir.close())
	}
	if isDir(c.data()) {
		return c, nil
	}
	if err := c.init(ctx); err != nil {
		return nil, errors.Join(err, dir.close())
	}
	return c, nil
}

func (c *cluster) data() string         { return filepath.Join(c.dir.path, "data") }
func (c *cluster) passwordFile() string { return filepath.Join(c.dir.path, "password") }

// loadPassword reads the directory's password, or makes one.
func (c *cluster) loadPassword() error {
	kept, err := os.ReadFile(c.passwordFile())
	if err == nil {
		c.password = strings.TrimSpace(string(kept))
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read password: %w", err)
	}
	c.password = rand.Text()
	if err := os.WriteFile(c.passwordFile(), []byte(c.password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password: %w", err)
	}
	return c.account.give(c.passwordFile())
}

// init makes the database under another name and renames it, so that it is whole or not there. The
// locale is C because every system has it.
func (c *cluster) init(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, initPatience, fmt.Errorf("no result after %v", initPatience))
	defer cancel()
	fresh := c.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove what was left: %w", err)
	}
	args := []string{
		"--pgdata=" + fresh, "--username=" + clusterUser, "--pwfile=" + c.passwordFile(),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions",
	}
	if c.opts.Fast {
		args = append(args, "--no-sync")
	}
	cmd := c.command(ctx, "initdb", args...)
	if err := runToEnd(ctx, cmd, newTail("initdb", c.opts.Log, nil)); err != nil {
		return err
	}
	return os.Rename(fresh, c.data())
}

// command returns a command that runs as the server's user, and that nothing of this process's
// environment can turn to another server.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := command(ctx, c.programs.path(name), args...)
	cmd.Dir = c.dir.path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir.path, "LC_ALL=C", "TZ=UTC"}
	runAs(cmd, c.account)
	return cmd
}

// url is where the server listens. The database is the one that every server has.
func (c *cluster) url() string {
	return postgresURL(net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), c.password)
}

func postgresURL(addr, password string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(clusterUser, password),
		Host: addr, Path: "/postgres", RawQuery: "sslmode=disable",
	}
	return u.String()
}
