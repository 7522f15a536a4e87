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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"edge/broker"
)

// A control is the socket in the data directory at which a running hub takes
// requests of `edge reload` and `edge backup`. Who may write into the directory may ask. A
// request is a line with a verb, the answer is a line of JSON.
type control struct {
	listener net.Listener
	answer   func(ctx context.Context, by author, verb string) reply
	backup   backupSource
}

// A reply says what became of a request.
type reply struct {
	OK      bool     `json:"ok"`
	Error   string   `json:"error,omitempty"`
	Config  bool     `json:"config,omitempty"`  // the error is one of the configuration
	Changed []string `json:"changed,omitempty"` // what was started, stopped or restarted

	Denials []broker.Denial `json:"denials,omitempty"`
	Pairing *pairingState   `json:"pairing,omitempty"`
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
func openControl(dir string, answer func(context.Context, author, string) reply) (*control, error) {
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

// serve answers requests until ctx ends.
func (c *control) serve(ctx context.Context) {
	var busy sync.WaitGroup
	defer busy.Wait()
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
		busy.Go(func() { c.handle(ctx, conn) })
	}
}

func (c *control) handle(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return
	}
	stopReading := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stopReading()
	verb, err := bufio.NewReaderSize(conn, 64).ReadSlice('\n')
	if err != nil {
		return
	}
	// An error of the write means that who asked has gone.
	if verb := strings.TrimSpace(string(verb)); verb == "backup" {
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		_ = c.backup.send(steadyConn{conn})
	} else {
		_ = json.NewEncoder(conn).Encode(c.answer(ctx, peer(conn), verb))
	}
}

// peer returns who is at the other end of a unix socket.
func peer(conn net.Conn) author {
	by := author{Who: "somebody on this machine", From: "control socket"}
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return by
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			by.Who = "uid:" + strconv.Itoa(int(cred.Uid))
		}
	})
	return by
}

// A steadyConn has the time of a request for each of its reads and writes, not
// for all together.
type steadyConn struct{ net.Conn }

func (c steadyConn) Write(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c steadyConn) Read(b []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(controlTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// A noHubError says that nobody answers for a data directory.
type noHubError struct{ error }

func (e noHubError) Unwrap() error { return e.error }

// ask sends verb to the hub whose data is in dir.
func ask(ctx context.Context, dir, verb string) (reply, error) {
	var r reply
	err := converse(ctx, dir, verb, func(in *bufio.Reader) error {
		if err := json.NewDecoder(in).Decode(&r); err != nil {
			return coded(exitUnreachable, fmt.Errorf("ask the hub in %s to %s: %w", dir, verb, err))
		}
		return nil
	})
	return r, err
}

// converse sends verb to the hub whose data is in dir, has use read the answer,
// and returns its error.
func converse(ctx context.Context, dir, verb string, use func(*bufio.Reader) error) error {
	var used error
	err := reach(dir, func(path string) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		if _, err := fmt.Fprintln(steadyConn{conn}, verb); err != nil {
			return err
		}
		used = use(bufio.NewReader(steadyConn{conn}))
		return nil
	})
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return coded(exitUnreachable, noHubError{fmt.Errorf("no hub runs with the data directory %s; name its own with --data", dir)})
	case errors.Is(err, os.ErrPermission):
		return coded(exitRefused, fmt.Errorf("ask the hub in %s: %w; try it as the user that runs the hub", dir, err))
	case err != nil:
		return coded(exitUnreachable, fmt.Errorf("ask the hub in %s to %s: %w", dir, verb, err))
	}
	return used
}
