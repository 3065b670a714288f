package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// server is a child that serves until its standard input ends.
type server struct {
	url  string
	cmd  *exec.Cmd
	in   io.Closer
	out  *json.Decoder
	ends context.CancelFunc
}

// startServer runs this program with args and waits until it says its URL.
func startServer(ctx context.Context, stderr io.Writer, args ...string) (*server, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // this program
	cmd.Stderr = stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr); err != nil {
		cancel()
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	s := &server{cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out)), ends: cancel}
	var hello greeting
	if err := s.out.Decode(&hello); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", args[0], err), s.stop(nil))
	}
	s.url = hello.URL
	return s, nil
}

// stop ends the child and reads its report, if that is wanted.
func (s *server) stop(report any) error {
	defer s.ends()
	err := s.in.Close()
	if report != nil {
		err = errors.Join(err, s.out.Decode(report))
	}
	return errors.Join(err, s.cmd.Wait())
}

// sample is what one run took.
type sample struct {
	outcome // of the work alone
	// Of the whole process, its start included.
	processWall, processCPU time.Duration
}

// measure runs a program to its end. Of what the kernel tells of it, CPU is exact; memory is the
// most that the process or its parent before the exec has had. answer, if any, is what the
// program prints.
func measure(ctx context.Context, stderr io.Writer, args, env []string, answer any) (sample, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // this program, or the user's rclone
	cmd.Env = append(withoutRclone(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, stderr
	began := now()
	err := cmd.Run()
	wall := now().Sub(began)
	if err != nil {
		return sample{}, err
	}
	if answer != nil {
		if err := json.Unmarshal(out.Bytes(), answer); err != nil {
			return sample{}, fmt.Errorf("read answer: %w", err)
		}
	}
	s := sample{processWall: wall, processCPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	s.Wall, s.CPU, s.Peak = s.processWall, s.processCPU, childPeak(cmd.ProcessState)
	return s, nil
}

// sharedWriter is what all children write their errors to.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}
