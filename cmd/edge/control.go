package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A control is the socket in the data directory at which a running hub takes
// requests of `edge reload`. Who may write into the directory may ask. A
// request is a line with a verb, the answer is a line of JSON.
type control struct {
	listener net.Listener
	answer   func(ctx context.Context, verb string) reply
}

// A reply says what became of a request.
type reply struct {
	OK      bool     `json:"ok"`
	Error   string   `json:"error,omitempty"`
	Config  bool     `json:"config,omitempty"`  // the error is one of the configuration
	Changed []string `json:"changed,omitempty"` // what was started, stopped or restarted
}

const (
	controlName    = "control.sock"
	controlTimeout = 30 * time.Second
	socketPath     = 107 // bytes that fit into sockaddr_un with the final NUL
)

// reach calls use with a path to the control socket that fits into an address
// of a socket, however long the data directory's own is.
func reach(dir string, use func(path string) error) error {
	path := filepath.Join(dir, controlName)
	if len(path) <= socketPath {
		return use(path)
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return use(fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), controlName))
}

// openControl listens in dir, which is locked by this process: a socket that
// is there already is a dead one.
func openControl(dir string, answer func(context.Context, string) reply) (*control, error) {
	c := &control{answer: answer}
	err := reach(dir, func(path string) error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false) // path may be good only now
		c.listener = l
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return c, nil
}

// serve answers one request after the other until ctx ends.
func (c *control) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { c.listener.Close() })
	defer stop()
	for {
		conn, err := c.listener.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil { // out of descriptors, most likely: wait for better times
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			continue
		}
		c.handle(ctx, conn)
	}
}

func (c *control) handle(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return
	}
	verb, err := bufio.NewReaderSize(conn, 64).ReadSlice('\n')
	if err != nil {
		return
	}
	// An error of the write means that who asked has gone.
	_ = json.NewEncoder(conn).Encode(c.answer(ctx, strings.TrimSpace(string(verb))))
}

// ask sends verb to the hub whose data is in dir.
func ask(ctx context.Context, dir, verb string) (reply, error) {
	var r reply
	err := reach(dir, func(path string) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		if err := conn.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(conn, verb); err != nil {
			return err
		}
		return json.NewDecoder(conn).Decode(&r)
	})
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return r, coded(exitUnreachable, fmt.Errorf("no hub runs with the data directory %s; name its own with --data", dir))
	case errors.Is(err, os.ErrPermission):
		return r, coded(exitRefused, fmt.Errorf("ask the hub in %s: %w; try it as the user that runs the hub", dir, err))
	case err != nil:
		return r, coded(exitUnreachable, fmt.Errorf("ask the hub in %s to %s: %w", dir, verb, err))
	}
	return r, nil
}
