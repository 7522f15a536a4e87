package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"edge/internal/wholefile"
)

// A trail is a file in a data directory to which lines of JSON are added, and the one
// that was before it. It is opened each time, since that is seldom, and since commands
// write such files, too, when no hub runs.
type trail struct{ dir, name string }

// maxTrail is the size in bytes at which the file becomes the older one, and the one
// that was older is forgotten.
const maxTrail = 1 << 20

// files are the files, the older one first.
func (t trail) files() [2]string {
	return [2]string{filepath.Join(t.dir, t.name+".1"), filepath.Join(t.dir, t.name)}
}

// append writes text, which is whole lines, to the end of the newer file, and syncs it.
func (t trail) append(text []byte) error {
	dir, err := os.Open(t.dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	defer dir.Close() // That unlocks it.
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("write %s: lock %s: %w", t.name, t.dir, err)
	}
	f, err := t.open(dir, len(text))
	if err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	defer f.Close()
	if torn(f) {
		text = append([]byte("\n"), text...)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync()); err != nil {
		return fmt.Errorf("write %s: %w", t.name, err)
	}
	return dir.Sync()
}

// open opens the newer file, which has room for n bytes.
func (t trail) open(dir *os.File, n int) (*os.File, error) {
	names := t.files()
	if info, err := os.Stat(names[1]); err == nil && info.Size()+int64(n) > maxTrail {
		if err := os.Rename(names[1], names[0]); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(names[1], os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	like, err := dir.Stat()
	if err == nil {
		err = wholefile.Give(f, like)
	}
	return f, err
}

// torn reports whether a power cut has left f without the end of its last line.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := make([]byte, 1)
	_, err = f.ReadAt(last, info.Size()-1)
	return err == nil && last[0] != '\n'
}

// readTrail returns the lines of t, the oldest first, and how many others cannot be
// read.
func readTrail[Line any](t trail) (lines []Line, bad int, err error) {
	for _, name := range t.files() {
		data, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, 0, fmt.Errorf("read %s: %w", t.name, err)
		}
		for text := range bytes.Lines(data) {
			var line Line
			if json.Unmarshal(text, &line) != nil {
				bad++
				continue
			}
			lines = append(lines, line)
		}
	}
	return lines, bad, nil
}
