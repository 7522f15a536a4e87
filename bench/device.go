package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"edge/bench/peer"
)

// A device is a block device with a file system of its own, so that what is
// written to it can be counted: an ext4 on a file. Without the rights to make one
// it is nothing, and what a process has written counts.
type device struct {
	image, dev, mount string
	what              string // is counted
	bytes             func() (int64, error)
}

const deviceBytes = 2 << 30

// newDevice makes a device whose contents are in a file under the directory under.
func newDevice(ctx context.Context, under string) (d *device, err error) {
	d = &device{what: "at an ext4 of its own"}
	if os.Geteuid() != 0 {
		return d, nil
	}
	dir, err := os.MkdirTemp(under, "bench-device")
	if err != nil {
		return nil, err
	}
	d.image = filepath.Join(dir, "image")
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		return d, err
	}
	if err := os.Truncate(d.image, deviceBytes); err != nil {
		return d, err
	}
	out, err := command(ctx, "losetup", "--find", "--show", d.image)
	if err != nil {
		return d, err
	}
	d.dev = strings.TrimSpace(out)
	// Inodes and journal are written now, not beside what is measured.
	if _, err := command(ctx, "mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.dev); err != nil {
		return d, err
	}
	at := filepath.Join(dir, "mount")
	if err := os.Mkdir(at, 0o700); err != nil {
		return d, err
	}
	if _, err := command(ctx, "mount", d.dev, at); err != nil {
		return d, err
	}
	d.mount = at
	d.bytes = func() (int64, error) { return written(d.dev) }
	return d, nil
}

// during returns how many bytes are written while f runs, with what is still in
// memory after it.
func (d *device) during(f func() error) (int64, error) {
	before, err := d.settled()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := d.settled()
	return after - before, err
}

// settled returns how many bytes were written, with nothing left in memory.
func (d *device) settled() (int64, error) {
	if d.mount != "" {
		f, err := os.Open(d.mount)
		if err != nil {
			return 0, err
		}
		err = errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
		if err != nil {
			return 0, fmt.Errorf("sync %s: %w", d.mount, err)
		}
	}
	return d.bytes()
}

// close takes everything down again. It goes on after errors.
func (d *device) close() error {
	var errs []error
	ctx := context.Background()
	if d.mount != "" {
		_, err := command(ctx, "umount", d.mount)
		errs = append(errs, err)
	}
	if d.dev != "" {
		_, err := command(ctx, "losetup", "--detach", d.dev)
		errs = append(errs, err)
	}
	if d.image != "" {
		errs = append(errs, os.RemoveAll(filepath.Dir(d.image)))
	}
	return errors.Join(errs...)
}

func command(ctx context.Context, name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name) // Debian's path of ordinary users lacks it.
	}
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// onDisk is running for a broker whose directory is on a device of its own, if
// this user may make one.
func onDisk(ctx context.Context, p peer.Peer, measure func(*peer.Process, *device) (Result, error)) (r Result, err error) {
	d, err := newDevice(ctx, p.Under)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	p.Under = d.mount
	return running(ctx, p, func(proc *peer.Process) (Result, error) {
		if d.image == "" {
			d.what, d.bytes = "as the kernel counts for the process", proc.Written
		}
		return measure(proc, d)
	})
}
