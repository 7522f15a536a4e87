package guard

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Listener is where a guard waits for the main process.
type Listener struct {
	listener *net.UnixListener
	lock     *os.File
	users    []int
}

// Listen makes the socket at path, for processes of root, of this process's user and
// of owner, whose it becomes if this process is root's. A guard that listens there
// already is an error.
func Listen(path string, owner int) (*Listener, error) {
	if len(path) > socketPath {
		return nil, fmt.Errorf("listen at %s: the path of a socket has %d bytes at most; name another one with guard.socket", path, socketPath)
	}
	lock, err := lockFile(path+".lock", owner)
	if err != nil {
		return nil, err
	}
	l := &Listener{lock: lock, users: []int{0, os.Geteuid(), owner}}
	if err := l.open(path, owner); err != nil {
		lock.Close()
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return l, nil
}

// lockFile locks name for as long as it is open. The file stays, as that of a data
// directory does: to remove it would race with who opens it now.
func lockFile(name string, owner int) (*os.File, error) {
	f, err := openLock(name, owner)
	if err != nil {
		return nil, fmt.Errorf("lock the guard's socket: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("another guard has locked %s: %w", name, syscall.EADDRINUSE)
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

// openLock opens name, or makes it, and then gives it to owner if this is root: the next
// guard may be his. A file that was there already may be another by a second name, and
// stays whose it is.
func openLock(name string, owner int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
	}
	if err != nil || os.Geteuid() != 0 || owner == 0 {
		return f, err
	}
	if err := f.Chown(owner, -1); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// open makes the socket. One that is there already is a dead guard's: the lock is ours.
func (l *Listener) open(path string, owner int) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return err
	}
	if err := give(path, owner); err != nil {
		listener.Close()
		return err
	}
	l.listener = listener
	return nil
}

// give makes the socket at path one for its owner alone, who becomes owner if this is
// root. Who can write into the directory may have put something else there: that is
// left alone.
func give(path string, owner int) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() {
		return errors.New("something else was put there")
	}
	if err := os.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), 0o600); err != nil {
		return err
	}
	if os.Geteuid() != 0 || owner == 0 {
		return nil
	}
	return unix.Fchownat(fd, "", owner, -1, unix.AT_EMPTY_PATH)
}

// accept returns the next connection of somebody who may be the main process.
func (l *Listener) accept() (wire, process, error) {
	for {
		conn, err := l.listener.AcceptUnix()
		if err != nil {
			return nil, nil, err
		}
		p, err := peerOf(conn)
		if err == nil && slices.Contains(l.users, p.uid) {
			return newSocket(conn), p, nil
		}
		conn.Close()
		if err == nil {
			p.Close()
		}
	}
}

// Close ends an accept under way and removes the socket.
func (l *Listener) Close() error {
	return errors.Join(l.listener.Close(), l.lock.Close())
}

// Listens reports whether somebody listens at path.
func Listens(path string) bool {
	w, err := dial(path)
	if err != nil {
		return false
	}
	w.Close()
	return true
}
