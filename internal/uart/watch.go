package uart

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A watch tells those who wait that terminals came or went. It has one listener
// for all of them, which is there as long as somebody waits.
type watch struct {
	open func() (io.ReadCloser, error)

	mu  sync.Mutex
	now *listener // nil: nobody waits
}

// events is the watch of this process.
var events = &watch{open: openUevents}

// A listener reads events for its users.
type listener struct {
	source io.ReadCloser
	users  map[chan struct{}]bool // guarded by watch.mu
	done   chan struct{}          // closed when nobody reads source any more
}

// join returns a channel that gets something when there is news, once for any
// number of events, and is closed if no more will come. leave must be called.
func (w *watch) join() (news <-chan struct{}, leave func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		source, err := w.open()
		if err != nil {
			return nil, nil, err
		}
		w.now = &listener{source, map[chan struct{}]bool{}, make(chan struct{})}
		go w.listen(w.now)
	}
	l, user := w.now, make(chan struct{}, 1)
	l.users[user] = true
	return user, func() { w.leave(l, user) }, nil
}

// leave ends the listener if nobody is left, and waits for it.
func (w *watch) leave(l *listener, user chan struct{}) {
	w.mu.Lock()
	delete(l.users, user)
	last := len(l.users) == 0 && w.now == l
	if last {
		w.now = nil
	}
	w.mu.Unlock()
	if last {
		l.source.Close()
		<-l.done
	}
}

// listen reads events until the source is closed.
func (w *watch) listen(l *listener) {
	defer close(l.done)
	defer l.source.Close()
	buf := make([]byte, 16<<10) // the kernel's are 2 KiB at most, udev's seldom more
	for {
		n, err := l.source.Read(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			w.end(l)
			return
		}
		// ENOBUFS: there were more events than fit. One of them may have been it.
		if e, ok := parseUevent(buf[:n]); err != nil || ok && e.Subsystem == "tty" {
			w.tell(l)
		}
	}
}

func (w *watch) tell(l *listener) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for user := range l.users {
		select {
		case user <- struct{}{}:
		default: // has not looked since the last one
		}
	}
}

// end tells the users of a listener that it has ended. Who joins next begins
// with a new one.
func (w *watch) end(l *listener) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for user := range l.users {
		close(user)
	}
	if clear(l.users); w.now == l {
		w.now = nil
	}
}

// told reports whether the kernel tells this process of every port that name
// can mean. A container has a user namespace or a /dev of its own, which somebody
// fills by hand; pseudo-terminals and links elsewhere have no events at all.
func (h Host) told(name string) bool {
	if dev := h.path("dev") + "/"; strings.Contains(name, "/") && (!strings.HasPrefix(name, dev) || strings.HasPrefix(name, dev+"pts/")) {
		return false
	}
	return h.hasLine("proc/self/mountinfo", func(f []string) bool {
		// 24 27 0:6 / /dev rw,relatime shared:2 - devtmpfs udev rw (proc_pid_mountinfo(5))
		for i, word := range f {
			if word == "-" && i > 4 && i+1 < len(f) {
				return f[4] == "/dev" && f[i+1] == "devtmpfs"
			}
		}
		return false
	}) && h.hasLine("proc/self/uid_map", func(f []string) bool {
		return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295" // user_namespaces(7)
	})
}

// hasLine reports whether a file has a line whose words are as wanted.
func (h Host) hasLine(file string, want func(words []string) bool) bool {
	f, err := os.Open(h.path(file))
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if want(strings.Fields(lines.Text())) {
			return true
		}
	}
	return false
}
