package uart

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A talk is a device that says one thing by itself, and answers two questions.
const talk = `# edge capture 1
0.500000 < 68 69                                           |hi|
1.000000 > 61 31                                           |a1|
1.250000 < 62                                              |b|
1.300000 < 63                                              |c|
1.400000 > 61 32                                           |a2|
2.400000 < 64                                              |d|
`

// record writes a capture to a file.
func record(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "capture.txt")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// onReplay calls do with an open capture, on the clock of synctest.
func onReplay(t *testing.T, text, options string, do func(t *testing.T, p *Port)) {
	t.Helper()
	file := record(t, text)
	synctest.Test(t, func(t *testing.T) {
		p, err := Open(t.Context(), Config{Port: "replay:" + file + options})
		if err != nil {
			t.Fatal(err)
		}
		do(t, p)
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := p.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("second Close: %v, want %v", err, os.ErrClosed)
		}
	})
}

// A heard piece and when it came.
type heard struct {
	At   time.Duration
	What string
}

// listen reads until there is nothing for a minute, or an error.
func listen(p *Port, start time.Time) (all []heard, err error) {
	buf := make([]byte, 64)
	for {
		_ = p.SetReadDeadline(time.Now().Add(time.Minute))
		n, err := p.Read(buf)
		if n > 0 {
			all = append(all, heard{time.Since(start), string(buf[:n])})
		}
		if err != nil {
			return all, err
		}
	}
}

func TestReplayKeepsTimes(t *testing.T) {
	onReplay(t, talk, "", func(t *testing.T, p *Port) {
		start := time.Now()
		first, err := listen(p, start)
		if want := []heard{{500 * time.Millisecond, "hi"}}; !cmp.Equal(first, want) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("before the question: %v, %v, want %v", first, err, want)
		}
		asked := time.Now()
		if _, err := p.Write([]byte("a1a2")); err != nil { // both at once, or one by one
			t.Fatal(err)
		}
		rest, err := listen(p, asked)
		want := []heard{{250 * time.Millisecond, "b"}, {300 * time.Millisecond, "c"}, {1300 * time.Millisecond, "d"}}
		if !cmp.Equal(rest, want) || !errors.Is(err, ErrGone) {
			t.Errorf("after the questions: %v, %v, want %v, %v", rest, err, want, ErrGone)
		}
		if err := p.SetDeadline(time.Time{}); err != nil {
			t.Errorf("SetDeadline after the end: %v, want nil as of a terminal", err)
		}
		if _, err := p.Write([]byte("x")); !errors.Is(err, ErrGone) {
			t.Errorf("Write after the end: %v, want %v", err, ErrGone)
		}
	})
}

func TestReplayIgnoresWrites(t *testing.T) {
	onReplay(t, talk, "?writes=ignore", func(t *testing.T, p *Port) {
		if _, err := p.Write([]byte("whatever")); err != nil {
			t.Errorf("Write: %v", err)
		}
		got, err := listen(p, time.Now())
		want := []heard{
			{500 * time.Millisecond, "hi"},
			{1250 * time.Millisecond, "b"},
			{1300 * time.Millisecond, "c"},
			{2400 * time.Millisecond, "d"},
		}
		if !cmp.Equal(got, want) || !errors.Is(err, ErrGone) {
			t.Errorf("%v, %v, want %v, %v", got, err, want, ErrGone)
		}
	})
}

func TestReplayFastForEver(t *testing.T) {
	onReplay(t, talk, "?speed=fast&loop=true&writes=ignore", func(t *testing.T, p *Port) {
		start := time.Now()
		got := make([]byte, 10)
		if _, err := io.ReadFull(p, got); err != nil || string(got) != "hibcdhibcd" {
			t.Errorf("read %q, %v, want the capture twice", got, err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v, want no time", took)
		}
	})
	onReplay(t, talk, "?speed=fast&loop=true", func(t *testing.T, p *Port) {
		if _, err := p.Write([]byte("a1a2a1")); err != nil { // ahead of time
			t.Error(err)
		}
		if _, err := p.Write([]byte("a2")); err != nil {
			t.Error(err)
		}
		for range 2 {
			got := make([]byte, 5)
			if _, err := io.ReadFull(p, got); err != nil || string(got) != "hibcd" {
				t.Errorf("read %q, %v, want hibcd", got, err)
			}
		}
	})
}

func TestReplayChecksWrites(t *testing.T) {
	for _, write := range []string{"a2", "a1x", "a1a2a"} {
		onReplay(t, talk, "?speed=fast", func(t *testing.T, p *Port) {
			_, err := p.Write([]byte(write))
			if err == nil || !strings.Contains(err.Error(), "the capture has 61 31") || errors.Is(err, ErrGone) {
				t.Errorf("Write(%q) = %v, want to hear what the capture has", write, err)
			}
			if _, again := p.Write([]byte("a1")); again == nil {
				t.Errorf("Write after %q: no error", write)
			}
		})
	}
}

func TestReplayCloseEndsRead(t *testing.T) {
	file := record(t, talk)
	synctest.Test(t, func(t *testing.T) {
		p, err := Open(t.Context(), Config{Port: "replay:" + file})
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := p.Read(make([]byte, 8))
			read <- err
		}()
		synctest.Wait()
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-read; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read: %v, want %v", err, os.ErrClosed)
		}
		if _, err := p.Write([]byte("a1")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write: %v, want %v", err, os.ErrClosed)
		}
		if err := errors.Join(p.SetDeadline(time.Time{}), p.SetWriteDeadline(time.Time{})); !errors.Is(err, os.ErrClosed) {
			t.Errorf("SetDeadline: %v, want %v", err, os.ErrClosed)
		}
	})
}

func TestReplayOfNoCapture(t *testing.T) {
	if _, err := Open(t.Context(), Config{Port: "replay:/nonexistent"}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a file that is not there: %v", err)
	}
	file := record(t, "hello")
	want := "open serial port replay:" + file + ": line 1: is not"
	if _, err := Open(t.Context(), Config{Port: "replay:" + file}); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Open of something else: %v, want %q...", err, want)
	}
	onReplay(t, "# edge capture 1\n", "?loop=true", func(t *testing.T, p *Port) {
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, ErrGone) {
			t.Errorf("Read of an empty capture: %v, want %v", err, ErrGone)
		}
	})
}
