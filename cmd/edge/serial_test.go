package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/internal/uart"
)

// talk is a capture of a device that greets, is asked, and answers.
const talk = `# edge capture 1
0.000000 < 68 69
0.100000 > 3f
0.200000 < 79 65 73
0.300000 < 2e
`

// TestReplayIsAPort: a capture that is replayed is a port to a program that asks
// what was asked then, and the program's own capture has the same bytes.
func TestReplayIsAPort(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "talk.txt")
	if err := os.WriteFile(file, []byte(talk), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"pseudo-terminal": {},
		"one with a name": {"--link", filepath.Join(dir, "by-id", "usb-Talk")},
		"network":         {"--listen", "127.0.0.1:0"},
		"network, again":  {"--listen", "127.0.0.1:0", "--loop"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			said, out := io.Pipe()
			var complaint bytes.Buffer
			code := make(chan int, 1)
			go func() {
				code <- run(ctx, append([]string{"serial", "replay", "--fast", file}, args...), strings.NewReader(""), out, &complaint)
				out.Close()
			}()
			port, err := bufio.NewReader(said).ReadString('\n')
			if err != nil {
				t.Fatalf("%v; %s", err, complaint.String())
			}
			talkTo(t, strings.TrimSpace(port))
			if strings.Contains(name, "again") {
				talkTo(t, strings.TrimSpace(port))
				cancel()
			}
			if got := <-code; got != 0 {
				t.Errorf("exit code %d, want 0; %s", got, complaint.String())
			}
		})
	}
}

func talkTo(t *testing.T, port string) {
	t.Helper()
	p, err := uart.Open(t.Context(), uart.Config{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, turn := range []struct{ ask, want string }{{"", "hi"}, {"?", "yes."}} {
		if _, err := p.Write([]byte(turn.ask)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(turn.want))
		if _, err := io.ReadFull(p, got); err != nil || string(got) != turn.want {
			t.Errorf("asked %q, got %q, %v, want %q", turn.ask, got, err, turn.want)
		}
	}
}

func TestReplayTellsADifference(t *testing.T) {
	file := filepath.Join(t.TempDir(), "talk.txt")
	if err := os.WriteFile(file, []byte(talk), 0o600); err != nil {
		t.Fatal(err)
	}
	said, out := io.Pipe()
	var complaint bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"serial", "replay", "--listen", "127.0.0.1:0", file}, strings.NewReader(""), out, &complaint)
		out.Close()
	}()
	port, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	p, err := uart.Open(t.Context(), uart.Config{Port: strings.TrimSpace(port)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if got, want := <-code, "the capture has 3f where 21 is written"; got != 1 || !strings.Contains(complaint.String(), want) {
		t.Errorf("exit code %d, %q, want 1 and %q", got, complaint.String(), want)
	}
}

// A full disk takes so many bytes.
type fullDisk struct{ room int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.room -= len(b); d.room < 0 {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

func TestTapeOfAFullDisk(t *testing.T) {
	for _, room := range []int{0, 100} {
		tape := &tape{app: &app{err: io.Discard}, begin: time.Now(), pieces: make(chan uart.Chunk, tapePieces)}
		for range tapePieces {
			tape.add([]byte("x"))
		}
		close(tape.pieces)
		if err := tape.write(&fullDisk{room}, uart.Capture{}); err == nil {
			t.Errorf("room for %d bytes: no error", room)
		}
	}
}

// TestTapeOfASlowDisk: the port is not kept waiting, and the file says what it
// has not.
func TestTapeOfASlowDisk(t *testing.T) {
	tape := &tape{app: &app{err: io.Discard}, begin: time.Now(), pieces: make(chan uart.Chunk, tapePieces)}
	for range tapePieces + 5 { // nobody writes yet
		tape.add([]byte("xyz"))
	}
	close(tape.pieces)
	var text bytes.Buffer
	if err := tape.write(&text, uart.Capture{}); err != nil {
		t.Fatal(err)
	}
	if want := "# lost: 15 bytes, for which the file was too slow\n"; !strings.HasSuffix(text.String(), want) {
		t.Errorf("the file ends with %q, want %q", text.String()[text.Len()-60:], want)
	}
	c, err := uart.ReadCapture(&text)
	if err != nil || len(c.Chunks) != tapePieces || !cmp.Equal(c.Chunks[0].Bytes, []byte("xyz")) {
		t.Errorf("the file has %d pieces, %v, want %d", len(c.Chunks), err, tapePieces)
	}
}
