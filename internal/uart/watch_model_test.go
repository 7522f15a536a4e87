package uart

import (
	"io"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// A waiter has joined a watch.
type waiter struct {
	news  <-chan struct{}
	leave func()
	owed  bool // there was news that it has not fetched
	ended bool // its listener has failed
}

// TestWatchModel joins and leaves, sends events and lets listeners fail, in any
// order.
func TestWatchModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &watchModel{}
		m.watch.open = func() (io.ReadCloser, error) {
			m.source = newFeed()
			m.sources = append(m.sources, m.source)
			return m.source, nil
		}
		t.Repeat(map[string]func(*rapid.T){"join": m.join, "leave": m.leave, "event": m.event, "fail": m.fail, "": m.check})
		for _, u := range m.waiting {
			u.leave()
		}
	})
}

type watchModel struct {
	watch   watch
	source  *feed // the last one
	sources []*feed
	waiting []*waiter
}

// works reports whether somebody waits whose listener works.
func (m *watchModel) works() bool {
	for _, u := range m.waiting {
		if !u.ended {
			return true
		}
	}
	return false
}

func (m *watchModel) join(t *rapid.T) {
	news, leave, err := m.watch.join()
	if err != nil {
		t.Fatal(err)
	}
	m.waiting = append(m.waiting, &waiter{news: news, leave: leave})
}

func (m *watchModel) leave(t *rapid.T) {
	if len(m.waiting) == 0 {
		t.Skip("nobody waits")
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "who")
	m.waiting[i].leave()
	m.waiting = append(m.waiting[:i], m.waiting[i+1:]...)
}

func (m *watchModel) event(t *rapid.T) {
	if !m.works() {
		t.Skip("nobody listens")
	}
	m.source.events <- kernelSays
	m.source.events <- "noise" // when it is read, the event has been told
	for _, u := range m.waiting {
		u.owed = u.owed || !u.ended
	}
}

func (m *watchModel) fail(t *rapid.T) {
	if !m.works() {
		t.Skip("nobody listens")
	}
	m.source.err = unix.EBADF
	m.source.events <- ""
	<-m.source.closed
	for _, u := range m.waiting {
		u.ended = true
	}
}

// check wants a single source exactly while somebody waits whose listener works,
// and that news has reached everybody who waits, once.
func (m *watchModel) check(t *rapid.T) {
	open := 0
	for _, s := range m.sources {
		select {
		case <-s.closed:
		default:
			open++
		}
	}
	if (open == 1) != m.works() || open > 1 {
		t.Fatalf("%d sources are open for %d who wait, and a listener that works is %t", open, len(m.waiting), m.works())
	}
	for i, u := range m.waiting {
		news, closed := false, false
		select {
		case _, ok := <-u.news:
			news, closed = ok, !ok
		default:
		}
		if news != u.owed || closed && !u.ended {
			t.Fatalf("waiter %d has news %t, want %t; its channel is closed %t, want %t", i, news, u.owed, closed, u.ended)
		}
		u.owed = false
	}
}
