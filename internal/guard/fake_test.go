package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"edge/internal/gpiochip"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("GUARD_TEST_PROCESS"); name != "" {
		os.Exit(processes[name](os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// A fakeChip is a chip whose lines are files in a directory, so that several processes
// can have them as those of the kernel: a request is an open file with a lock, which
// is let go of when the last descriptor of it is closed. In a file is each value that
// was driven, by whom, and when.
type fakeChip struct {
	dir string
	who string
}

var fakeInfo = gpiochip.ChipInfo{Name: "gpiochip7", Label: "fake", Lines: 64}

func (c fakeChip) path(offset uint32) string { return filepath.Join(c.dir, fmt.Sprint("line", offset)) }

func (c fakeChip) open(string) (gpiochip.Chip, error) { return c, nil }

func (c fakeChip) lock(offset uint32) (*os.File, error) {
	f, err := os.OpenFile(c.path(offset), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (c fakeChip) Info() (gpiochip.ChipInfo, error) { return fakeInfo, nil }

func (c fakeChip) LineInfo(offset uint32) (gpiochip.LineInfo, error) {
	f, err := c.lock(offset)
	if err == nil {
		f.Close()
	}
	return gpiochip.LineInfo{Offset: offset, Used: err != nil}, nil
}

func (c fakeChip) Request(r gpiochip.Request) (gpiochip.Lines, error) {
	offset := r.Lines[0].Offset
	f, err := c.lock(offset)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, &gpiochip.BusyError{Chip: fakeInfo.Label, Line: gpiochip.LineInfo{Offset: offset, Used: true}}
	}
	if err != nil {
		return nil, err
	}
	l := fakeLines{f, c.who}
	return l, l.put("requests", values(r))
}

func (c fakeChip) Close() error { return nil }

// descend returns lines of a descriptor that has come through a socket.
func (c fakeChip) descend(f *os.File) gpiochip.Lines { return fakeLines{f, c.who} }

type fakeLines struct {
	file *os.File
	who  string
}

func (l fakeLines) put(verb string, values uint64) error {
	_, err := fmt.Fprintln(l.file, l.who, verb, values, time.Now().UnixNano())
	return err
}

func (l fakeLines) SyscallConn() (syscall.RawConn, error) { return l.file.SyscallConn() }

func (l fakeLines) SetValues(_, values uint64) error { return l.put("sets", values) }

func (l fakeLines) Values(uint64) (uint64, error) {
	all, err := drives(io.NewSectionReader(l.file, 0, 1<<30))
	if err != nil || len(all) == 0 {
		return 0, errors.Join(err, errors.New("nothing was ever driven"))
	}
	return all[len(all)-1].value, nil
}

func (l fakeLines) ReadEvent(ctx context.Context) (gpiochip.Event, error) {
	<-ctx.Done()
	return gpiochip.Event{}, ctx.Err()
}

func (l fakeLines) Close() error { return l.file.Close() }

// A drive is one line of such a file.
type drive struct {
	who, verb string
	value     uint64
	at        time.Time
}

func drives(r io.Reader) (all []drive, err error) {
	for s := bufio.NewScanner(r); s.Scan(); {
		var d drive
		var ns int64
		if _, err := fmt.Sscan(s.Text(), &d.who, &d.verb, &d.value, &ns); err != nil {
			return nil, fmt.Errorf("%q: %w", s.Text(), err)
		}
		d.at = time.Unix(0, ns)
		all = append(all, d)
	}
	return all, nil
}

func (c fakeChip) trace(t testing.TB, offset uint32) []drive {
	t.Helper()
	f, err := os.Open(c.path(offset))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := drives(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// story is the trace without times, and without what is driven twice.
func (c fakeChip) story(t testing.TB, offset uint32) string {
	t.Helper()
	var parts []string
	for _, d := range c.trace(t, offset) {
		part := fmt.Sprint(d.who, " ", d.verb, " ", d.value)
		if len(parts) == 0 || parts[len(parts)-1] != part {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}
