package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edge/internal/gpiochip"
)

// processes are what the test binary can be besides a test. They have a directory,
// and say on stdout what they do.
var processes = map[string]func(args []string) int{"guard": beGuard, "main": beMain}

// outputs is how many lines there are.
const outputs = 4

// beGuard is a guard until it is killed.
func beGuard(args []string) int {
	l, err := Listen(filepath.Join(args[0], "socket"), os.Geteuid())
	if err == nil {
		cfg := DefaultConfig()
		cfg.Patience = 200 * time.Millisecond
		fmt.Println("listens")
		s := &Server{Config: cfg, Log: slog.New(slog.NewTextHandler(os.Stdout, nil)), descend: fakeChip{args[0], "guard"}.descend}
		err = s.Serve(context.Background(), l)
	}
	fmt.Println(err)
	return 1
}

// beMain drives its lines again and again, and takes them again when the guard has
// taken over.
func beMain(args []string) int {
	chip := fakeChip{args[0], "main"}
	socket := filepath.Join(args[0], "socket")
	c := newClient(func() (wire, error) { return dial(socket) }, chip.descend, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	go c.Run(context.Background(), func(State) {})
	for {
		// The guard may be too busy to have given the lines back.
		err := driveAll(c, chip)
		if !errors.Is(err, ErrTakenOver) && !errors.As(err, new(*gpiochip.BusyError)) {
			fmt.Println(err)
			return 1
		}
	}
}

func driveAll(c *Client, chip fakeChip) error {
	guarded, err := c.Opener(chip.open)("")
	if err != nil {
		return err
	}
	all := make([]gpiochip.Lines, outputs)
	for i := range all {
		cfg := gpiochip.LineConfig{Offset: uint32(i), Direction: gpiochip.Output}
		if all[i], err = guarded.Request(gpiochip.Request{Consumer: "edge:test", Lines: []gpiochip.LineConfig{cfg}}); err != nil {
			return err
		}
		defer all[i].Close()
	}
	fmt.Println("drives")
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for n := uint64(0); ; n++ {
		<-tick.C
		for _, l := range all {
			l.(Guarded).Alive()
			if err := l.SetValues(1, n%2); err != nil {
				return err
			}
		}
	}
}

// A player is such a process.
type player struct {
	*exec.Cmd
	t   *testing.T
	out *bufio.Scanner
}

func play(t *testing.T, name, dir string) *player {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, dir)
	cmd.Env = append(os.Environ(), "GUARD_TEST_PROCESS="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &player{cmd, t, bufio.NewScanner(out)}
	t.Cleanup(p.end)
	return p
}

// end kills the process, if it lives, and waits for it.
func (p *player) end() {
	if p.ProcessState == nil {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

// says waits until the process has said something.
func (p *player) says(text string) {
	p.t.Helper()
	var heard []string
	for p.out.Scan() {
		if heard = append(heard, p.out.Text()); strings.Contains(p.out.Text(), text) {
			return
		}
	}
	p.t.Fatalf("a process has ended and has not said %q, but %q", text, heard)
}

// safe waits until the guard p was the last to drive the lines, and returns how long
// after begun that was. A machine that is busy may have made it take over before, too.
func (p *player) safe(chip fakeChip, begun time.Time) (took time.Duration) {
	p.t.Helper()
	for i := range uint32(outputs) {
		all := chip.trace(p.t, i)
		for all[len(all)-1].who != "guard" {
			p.says("outputs are made safe")
			all = chip.trace(p.t, i)
		}
		if last := all[len(all)-1]; last.value != 0 {
			p.t.Errorf("line %d: the guard %s %d, want 0", i, last.verb, last.value)
		}
		first := len(all) - 1
		for first > 0 && all[first-1].who == "guard" {
			first--
		}
		took = max(took, all[first].at.Sub(begun))
	}
	return took
}

// wantNoRelease checks that lines were requested once, and have passed from hand to
// hand ever since.
func wantNoRelease(t *testing.T, chip fakeChip) {
	t.Helper()
	for i := range uint32(outputs) {
		for n, d := range chip.trace(t, i) {
			if (d.verb == "requests") != (n == 0) {
				t.Errorf("line %d: number %d is %s %s %d", i, n, d.who, d.verb, d.value)
			}
		}
	}
}

// TestKilled kills real processes at any time.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	chip := fakeChip{dir: dir}
	guard := play(t, "guard", dir)
	guard.says("listens")
	var worst time.Duration
	for range 8 {
		main := play(t, "main", dir)
		main.says("drives")
		<-time.After(rand.N(20 * time.Millisecond)) // Any time is as good as another.
		begun := time.Now()
		main.end()
		worst = max(worst, guard.safe(chip, begun))
	}
	t.Logf("safe within %v of kill -9", worst)
	wantNoRelease(t, chip)
}

// TestStoppedProcess stops a real process, which goes on later, and asks for its lines.
func TestStoppedProcess(t *testing.T) {
	dir := t.TempDir()
	chip := fakeChip{dir: dir}
	guard := play(t, "guard", dir)
	guard.says("listens")
	main := play(t, "main", dir)
	main.says("drives")
	var worst time.Duration
	for range 3 {
		begun := time.Now()
		if err := main.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, guard.safe(chip, begun))
		if err := main.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		main.says("drives")
	}
	t.Logf("safe within %v of SIGSTOP, with a patience of 200ms", worst)
	main.end()
	guard.safe(chip, time.Now())
	wantNoRelease(t, chip)
	for i := range uint32(outputs) {
		wantFenced(t, i, chip.trace(t, i))
	}
}

// wantFenced checks that a main process drives a line once at most between a take-over
// and its first value after that, which is 0: the one that was past the fence.
func wantFenced(t *testing.T, offset uint32, all []drive) {
	t.Helper()
	for n := 0; n < len(all); n++ {
		if all[n].who != "guard" {
			continue
		}
		var wrong int
		for ; n < len(all) && (all[n].who == "guard" || all[n].value != 0); n++ {
			if all[n].who == "main" {
				wrong++
			}
		}
		if wrong > 1 {
			t.Errorf("line %d: driven %d times after the guard had taken over", offset, wrong)
		}
	}
}
