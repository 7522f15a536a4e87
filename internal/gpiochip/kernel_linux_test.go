package gpiochip

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipe is a request's file whose kernel is the test.
func pipe(t *testing.T) (*lines, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return newLines(r, caller(r)), w
}

func send(t *testing.T, w *os.File, events ...unix.GPIOV2LineEvent) {
	t.Helper()
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(events))), len(events)*eventSize)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
}

func TestReadEvents(t *testing.T) {
	l, w := pipe(t)
	var events []unix.GPIOV2LineEvent
	for i := range uint32(40) { // more than one read holds
		events = append(events, unix.GPIOV2LineEvent{Timestamp_ns: uint64(i) * 1e6, Id: 1 + i%2, Offset: 4, Seqno: i + 1, Line_seqno: i + 1})
	}
	send(t, w, events...)
	for i := range uint32(40) {
		got, err := l.ReadEvent(t.Context())
		want := Event{Offset: 4, Edge: Rising << (i % 2), Time: time.Duration(i) * time.Millisecond, Seq: i + 1, LineSeq: i + 1}
		if err != nil || got != want {
			t.Fatalf("ReadEvent = %+v, %v, want %+v", got, err, want)
		}
	}
	send(t, w, unix.GPIOV2LineEvent{Id: 7, Offset: 4})
	if e, err := l.ReadEvent(t.Context()); err == nil {
		t.Errorf("ReadEvent of an event of kind 7 = %+v, want an error", e)
	}
}

func TestReadEventEnds(t *testing.T) {
	l, w := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	wait := func(ctx context.Context) {
		go func() {
			_, err := l.ReadEvent(ctx)
			done <- err
		}()
	}
	wait(ctx)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ReadEvent whose context ends = %v, want context.Canceled", err)
	}
	send(t, w, unix.GPIOV2LineEvent{Id: 1, Line_seqno: 1})
	if e, err := l.ReadEvent(t.Context()); err != nil || e.LineSeq != 1 {
		t.Errorf("ReadEvent after a cancelled one = %+v, %v, want event 1", e, err)
	}
	wait(t.Context())
	l.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadEvent of closed lines = %v, want os.ErrClosed", err)
	}
	if _, err := l.Values(1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Values of closed lines = %v, want os.ErrClosed", err)
	}
}

func TestOpenWhatIsNoChip(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "gpiochip9")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of nothing = %v, want os.ErrNotExist", err)
	}
	if _, err := Open(os.DevNull); err == nil || !strings.Contains(err.Error(), os.DevNull) {
		t.Errorf("Open(%s) = %v, want an error that names it", os.DevNull, err)
	}
}

// fake answers ioctls as the kernel would: two lines, the second of which w1
// holds.
func fake(request uint, arg unsafe.Pointer) error {
	switch request {
	case unix.GPIO_GET_CHIPINFO_IOCTL:
		k := (*unix.GPIOChipInfo)(arg)
		copy(k.Label[:], "pinctrl-bcm2711")
		k.Lines = 2
	case unix.GPIO_V2_GET_LINEINFO_IOCTL:
		k := (*unix.GPIOV2LineInfo)(arg)
		if k.Offset == 1 {
			copy(k.Name[:], "GPIO4")
			copy(k.Consumer[:], "w1")
			k.Flags = flagUsed | flagInput
		}
	case unix.GPIO_V2_GET_LINE_IOCTL:
		k := (*unix.GPIOV2LineRequest)(arg)
		if slices.Contains(k.Offsets[:k.Num_lines], 1) {
			return unix.EBUSY
		}
		return unix.EINVAL
	}
	return nil
}

func TestRefusals(t *testing.T) {
	c := &chip{call: fake}
	_, err := c.Request(Request{Consumer: "edge:door", Lines: []LineConfig{{Offset: 0}, {Offset: 1}}})
	want := `line 1 (GPIO4) of pinctrl-bcm2711 is held by "w1": that is 1-Wire: take dtoverlay=w1-gpio out of config.txt or give it another gpiopin=, or choose another line`
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, syscall.EBUSY) || err.Error() != want || busy.Consumer != "edge:door" {
		t.Errorf("Request of a line that is held = %v, want %s", err, want)
	}
	_, err = c.Request(Request{Consumer: "edge:door", Lines: []LineConfig{{Offset: 5}}})
	want = `request lines [5] for "edge:door": pinctrl-bcm2711 has lines 0 to 1, not 5: invalid argument`
	if err == nil || err.Error() != want {
		t.Errorf("Request of a line that is not there = %v, want %s", err, want)
	}
}

func TestBusyErrorOfAHolderWithoutName(t *testing.T) {
	err := &BusyError{Chip: "pinctrl-rp1", Line: LineInfo{Offset: 2}}
	want := "line 2 of pinctrl-rp1 is held by a driver of the kernel or by a program that gives no name: stop that one, such as an overlay in config.txt, or choose another line"
	if err.Error() != want {
		t.Errorf("Error() = %s, want %s", err, want)
	}
}

// TestSharedLines closes the lines of one descriptor; those of another one of the same
// request go on.
func TestSharedLines(t *testing.T) {
	mine, w := pipe(t)
	raw, err := mine.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if e := raw.Control(func(s uintptr) { fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	theirs := NewLines(os.NewFile(uintptr(fd), "shared"))
	mine.Close()
	send(t, w, unix.GPIOV2LineEvent{Id: 1, Offset: 4, Seqno: 1, Line_seqno: 1})
	if e, err := theirs.ReadEvent(t.Context()); err != nil || e.Offset != 4 {
		t.Errorf("ReadEvent of the other lines = %+v, %v, want the event of line 4", e, err)
	}
	if err := theirs.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}
