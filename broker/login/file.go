package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"edge/internal/wholefile"
)

const (
	maxFile  = MaxUsers * (MaxName + MaxRoles*(maxRole+1) + maxHash)
	lockPoll = 20 * time.Millisecond
)

// Load reads the users file. Without a file there are no users. A file that
// others may read or write is refused: hashes can be guessed at, and who writes
// it lets himself in.
func Load(path string) (Users, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if m := info.Mode(); !m.IsRegular() || m.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read users: %s is %v, and must be a file that only its owner can read: chmod 600 %s", path, m, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read users: %s has more than %d bytes", path, maxFile)
	}
	return ParseUsers(path, data)
}

// Edit reads the users, has change make others of them, and writes these,
// whole or not at all, and safe from a power cut. Who edits the same file
// meanwhile waits, or until ctx ends. A running hub must be told.
func Edit(ctx context.Context, path string, change func(Users) (Users, error)) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("change users: %w", err)
	}
	defer dir.Close()
	if err := lock(ctx, dir); err != nil {
		return fmt.Errorf("change users: lock %s: %w", dir.Name(), err)
	}
	us, err := Load(path)
	if err != nil {
		return err
	}
	if us, err = change(us); err != nil {
		return err
	}
	if len(us) > MaxUsers {
		return fmt.Errorf("change users: the most are %d", MaxUsers)
	}
	text, err := us.AppendText(nil)
	if err != nil {
		return err
	}
	if err := replace(dir, path, text); err != nil {
		return fmt.Errorf("change users: %w", err)
	}
	return nil
}

// lock waits until nobody else edits. Closing the folder unlocks it. The folder
// itself is locked because the file is another one after each change.
func lock(ctx context.Context, dir *os.File) error {
	for {
		err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// replace puts data in the place of the file at path. Under the lock the next file
// can have one name, by which what a power cut has left is found; without one, see
// package wholefile.
func replace(dir *os.File, path string, data []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // One that a power cut left behind may have had other rights.
	}
	if err := write(next, dir, data); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return dir.Sync()
}

func write(path string, dir *os.File, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	like, err := dir.Stat()
	if err != nil {
		return err
	}
	if err := wholefile.Give(f, like); err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}
