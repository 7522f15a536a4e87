// Package initramfs writes the root file system that a Linux kernel unpacks into
// memory at its start, in the format newc of cpio
// (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's
// sources).
package initramfs

import (
	"fmt"
	"io"
	"path"
)

// A Writer writes an archive. After an error the others do nothing.
type Writer struct {
	w    io.Writer
	n    int64
	ino  int
	dirs map[string]bool
	err  error
}

// NewWriter returns a Writer that writes to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: w, dirs: map[string]bool{".": true, "/": true}}
}

// The kinds of stat(2) that are needed.
const (
	directory = 0o040000
	character = 0o020000
	regular   = 0o100000
)

// Dir adds a directory and those above it.
func (w *Writer) Dir(name string) {
	if w.dirs[name] {
		return
	}
	w.Dir(path.Dir(name))
	w.dirs[name] = true
	w.entry(name, directory|0o755, nil, 0, 0)
}

// File adds a file that may be executed, and the directories above it.
func (w *Writer) File(name string, data []byte) {
	w.Dir(path.Dir(name))
	w.entry(name, regular|0o755, data, 0, 0)
}

// Device adds a character device.
func (w *Writer) Device(name string, major, minor int) {
	w.Dir(path.Dir(name))
	w.entry(name, character|0o600, nil, major, minor)
}

// Close ends the archive. It does not close what it was written to.
func (w *Writer) Close() error {
	w.entry("TRAILER!!!", 0, nil, 0, 0)
	return w.err
}

// entry writes
//
//	magic ino mode uid gid nlink mtime size major minor rmajor rminor namesize check
//
// in hexadecimal digits, the name with a zero, and the data; both are padded
// to four bytes.
func (w *Writer) entry(name string, mode uint32, data []byte, major, minor int) {
	w.ino++
	w.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		w.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0, name))
	w.write(data)
}

func (w *Writer) write(b []byte) {
	for _, part := range [][]byte{b, make([]byte, (4-(w.n+int64(len(b)))%4)%4)} {
		if w.err != nil {
			return
		}
		var n int
		n, w.err = w.w.Write(part)
		w.n += int64(n)
	}
}
