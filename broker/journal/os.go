package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"edge/internal/wholefile"
)

// OS returns the folder dir of the operating system, which is made when it is
// needed. Nobody else may read it: messages are private.
func OS(dir string) FS { return folder(dir) }

type folder string

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (d folder) Open(name string) (File, error) { return d.open(name, os.O_RDONLY) }

func (d folder) Edit(name string) (File, error) { return d.open(name, os.O_RDWR) }

func (d folder) Create(name string) (File, error) {
	f, err := d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	if err := wholefile.Sync(filepath.Dir(string(d))); err != nil {
		return nil, err
	}
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (d folder) open(name string, flag int) (File, error) {
	f, err := os.OpenFile(d.path(name), flag, 0o600)
	if err != nil {
		return nil, err // Not a nil *os.File in an interface.
	}
	return diskFile{f}, nil
}

func (d folder) Remove(name string) error { return os.Remove(d.path(name)) }

func (d folder) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d folder) SyncDir() error {
	err := wholefile.Sync(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Nothing is in it.
	}
	return err
}

func (d folder) Free() (int64, error) {
	var s unix.Statfs_t
	err := retry(func() error { return unix.Statfs(string(d), &s) })
	if err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: string(d), Err: err}
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // 32 bits on 32-bit systems
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error {
	err := retry(func() error { return unix.Fdatasync(int(f.Fd())) })
	if err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// retry calls f until no signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
