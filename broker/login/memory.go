package login

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// A mark stands for a user's name, a password and the hash that it was held
// against, under a key of this boot. Whoever lacks the key learns nothing from it.
type mark [sha256.Size]byte

const (
	memoryName  = "logins"
	memoryMagic = "edge logins 1\n"
	keySize     = 32
	maxMemory   = len(memoryMagic) + keySize + 4*MaxUsers*2*sha256.Size
	tmpfsMagic  = 0x01021994 // statfs(2)
	ramfsMagic  = 0x858458f6
)

// A Memory remembers which passwords were right, so that a slow hash is
// computed once in a boot for each user, not at each connection. It holds at most
// one password of a user, as a mark; a new password or hash makes it worthless.
//
// In a folder that is in RAM it survives the process (decision 9):
//
//	magic | key | (name of the user, mark)*
//
// where the name is a mark, too. A record that was cut off is left out.
type Memory struct {
	mu    sync.Mutex
	key   []byte
	right map[mark]mark // of names to marks
	file  *os.File      // nil if it does not survive
	lost  error         // why it no longer does
}

// NewMemory returns a Memory that ends with the process.
func NewMemory() *Memory {
	m := &Memory{key: make([]byte, keySize), right: map[mark]mark{}}
	_, _ = rand.Read(m.key) // It never returns an error.
	return m
}

// OpenMemory returns a Memory that is kept in dir, which must be in RAM and
// accessible to nobody else, and is made if it is missing. After an error the
// Memory is one of NewMemory: good enough, but the process should say why.
func OpenMemory(dir string) (*Memory, error) {
	m := NewMemory()
	err := private(dir)
	if err == nil {
		err = m.open(dir)
	}
	if err != nil {
		return NewMemory(), fmt.Errorf("remember logins in %s: %w", dir, err)
	}
	return m, nil
}

// open takes over the file in dir, and writes it anew without what is outdated.
func (m *Memory) open(dir string) error {
	path := filepath.Join(dir, memoryName)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.read(old)
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.file, err = os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = m.file.Write(m.image())
	if err := errors.Join(err, os.Rename(next, path)); err != nil {
		return errors.Join(err, m.file.Close())
	}
	return nil
}

// private makes dir, and checks that it is in RAM and ours alone.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || info.Mode().Perm()&0o077 != 0 || int(owner.Uid) != os.Geteuid() {
		return errors.New("it must be a folder of this user with mode 0700")
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err
	}
	if t := uint32(s.Type); t != tmpfsMagic && t != ramfsMagic {
		return errors.New("it is not in RAM, and a card would keep the key beyond the boot")
	}
	return nil
}

// read takes over what is in data, if it is a Memory's.
func (m *Memory) read(data []byte) {
	rest, ok := bytes.CutPrefix(data, []byte(memoryMagic))
	if !ok || len(rest) < keySize || len(data) > maxMemory {
		return
	}
	m.key = bytes.Clone(rest[:keySize])
	r := bytes.NewReader(rest[keySize:])
	for {
		var record [2]mark
		if _, err := io.ReadFull(r, record[0][:]); err != nil {
			return
		}
		if _, err := io.ReadFull(r, record[1][:]); err != nil {
			return
		}
		if len(m.right) < MaxUsers {
			m.right[record[0]] = record[1]
		}
	}
}

// image returns what read reads.
func (m *Memory) image() []byte {
	b := append([]byte(memoryMagic), m.key...)
	for name, right := range m.right {
		b = append(append(b, name[:]...), right[:]...)
	}
	return b
}

// mark returns the mark of its parts.
func (m *Memory) mark(parts ...string) (sum mark) {
	h := hmac.New(sha256.New, m.key)
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p))) // Or "ab", "c" would be "a", "bc".
		h.Write(size[:])
		h.Write([]byte(p))
	}
	h.Sum(sum[:0])
	return sum
}

// has reports whether right was the mark of the user's last login.
func (m *Memory) has(user string, right mark) bool {
	name := m.mark(user)
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.right[name]
	return ok && hmac.Equal(old[:], right[:])
}

// add remembers the mark of a login. When that cannot be written, what follows
// is remembered in the process only.
func (m *Memory) add(user string, right mark) {
	name := m.mark(user)
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.right[name]; ok && old == right || !ok && len(m.right) >= MaxUsers {
		return
	}
	m.right[name] = right
	if m.file == nil {
		return
	}
	if _, err := m.file.Write(append(name[:], right[:]...)); err != nil {
		m.lost = errors.Join(err, m.file.Close())
		m.file = nil
	}
}

// Err returns why logins are no longer remembered beyond the process, or nil.
func (m *Memory) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// Close lets go of the file, which stays.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		return nil
	}
	err := m.file.Close()
	m.file = nil
	return err
}
