// Package agent is what the host and the guest of the rig say to each other: the
// calls of net/rpc that package guest answers, and their client. It knows
// nothing of QEMU.
package agent

import (
	"context"
	"fmt"
	"io/fs"
	"net/rpc"
	"syscall"
	"time"
)

// Port is where the guest listens, TCP.
const Port = 7777

// Name is what the calls are registered as.
const Name = "Agent"

// Init is the guest's program, and Burn the argument with which it is one that works
// whenever nothing else does. While the CPU is never idle, the guest's time is that of
// what was done in it, and nothing else: not even that in which QEMU was waiting.
const (
	Init = "/init"
	Burn = "burn"
)

// Look is the argument with which Init, as the first process, runs /edge pins and
// writes what that says to the console, with Looked behind it.
const (
	Look   = "look"
	Looked = "rig: looked"
)

// None is the argument or the result of a call that has none.
type None struct{}

// A File is put into the guest whole.
type File struct {
	Path string
	Mode fs.FileMode
	Data []byte
}

// A Command is a program to run in the guest. What it writes goes to its Exit,
// or to the file Log. With Group it is started in the cgroup of that name, with all that
// it starts.
type Command struct {
	Args  []string
	Log   string
	Group string
}

// An Exit is how a program ended; Code is negative if that was a signal's doing.
type Exit struct {
	Code   int
	Signal syscall.Signal
	Output string
}

// A Kill is a signal to a program that was started. With Group, which an Await knows, it is
// that cgroup which gets no more memory, until the kernel has killed a process of it.
type Kill struct {
	PID    int
	Signal syscall.Signal
	Group  string
}

// Groups is where cgroups are in the guest.
const Groups = "/sys/fs/cgroup"

// A Chip is one of gpio-sim. There is one in the guest; making another replaces
// it.
type Chip struct {
	Label string
	Lines int
}

// A USB is a stick in a port of the guest's, 0 to 7. Driver is that of its adapter (package usb).
type USB struct {
	Port   int
	Driver string
	Serial string // its serial number, if it is one that has any
}

// A Level is that of a line.
type Level struct {
	Line int
	High bool
}

// A Drive is edges on lines from outside: each line is toggled, in turn with the others,
// at most Rate times a second (0: as fast as it goes), until it was toggled Edges times
// or a time is over (0: that is no end). If Kill has a process, that is ended right after
// the last edge.
type Drive struct {
	Lines []int
	Rate  int
	Edges int
	For   time.Duration
	Kill  Kill
}

// Driven is how often each line was toggled, and how long that took.
type Driven struct {
	Edges int
	Took  time.Duration
}

// A Watch looks at the levels of lines as fast as it can.
type Watch struct{ Lines []int }

// A Change is a line that was seen at another level than before. At counts from the
// first sample.
type Change struct {
	Level
	At time.Duration
}

// Seen is what a Watch has found out.
type Seen struct {
	First   map[int]bool // levels at the first sample
	Changes []Change
	Given   []Change      // by the kernel, at the request of programs, whether seen or not; by a clock of its own
	Rounds  int           // how often all lines were looked at
	Longest time.Duration // from one round to the next
}

// An Await waits for levels, for Within at most. If Kill has a process, that is ended
// first, After a time; with Ended, the program's end is waited for, too.
type Await struct {
	Levels map[int]bool
	Within time.Duration
	Kill   Kill
	After  time.Duration
	Ended  bool
}

// Awaited is how long it took until all levels were right, from the signal or the end
// that was waited for on, and which lines were not at last.
type Awaited struct {
	Took  time.Duration
	Wrong []int
}

// A Client calls the guest. Its methods may be called from several goroutines.
type Client struct{ rpc *rpc.Client }

// retry is how soon Dial tries again: QEMU accepts connections before the guest
// does, so that only an answer tells that it is there.
const retry = 20 * time.Millisecond

// Dial returns when the guest answers at address.
func Dial(ctx context.Context, address string) (*Client, error) {
	tick := time.NewTicker(retry)
	defer tick.Stop()
	for {
		c, err := rpc.Dial("tcp", address)
		if err == nil {
			hello := c.Go(Name+".Hello", None{}, new(string), make(chan *rpc.Call, 1))
			select {
			case <-hello.Done:
				err = hello.Error
			case <-time.After(time.Second):
				err = fmt.Errorf("no answer")
			}
			if err == nil {
				return &Client{c}, nil
			}
			c.Close()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("reach the guest: %w (%w)", err, ctx.Err())
		case <-tick.C:
		}
	}
}

// Close ends the connection. Programs that were started go on.
func (c *Client) Close() error { return c.rpc.Close() }

// call has the guest carry out method, and waits for that until ctx ends.
func call[R any](ctx context.Context, c *Client, method string, arg any) (R, error) {
	var result R
	pending := c.rpc.Go(Name+"."+method, arg, &result, make(chan *rpc.Call, 1))
	select {
	case <-pending.Done:
		if pending.Error != nil {
			return result, fmt.Errorf("in the guest: %s: %w", method, pending.Error)
		}
		return result, nil
	case <-ctx.Done():
		var none R // The other may still be written.
		return none, fmt.Errorf("in the guest: %s: %w", method, ctx.Err())
	}
}

func do(ctx context.Context, c *Client, method string, arg any) error {
	_, err := call[None](ctx, c, method, arg)
	return err
}

// Hello returns the release of the guest's kernel.
func (c *Client) Hello(ctx context.Context) (string, error) {
	return call[string](ctx, c, "Hello", None{})
}

// SetClock sets the guest's clock, which a snapshot has stopped.
func (c *Client) SetClock(ctx context.Context, t time.Time) error {
	return do(ctx, c, "SetClock", t)
}

// Put writes a file whole, or a value of sysfs.
func (c *Client) Put(ctx context.Context, f File) error { return do(ctx, c, "Put", f) }

// Read returns what is in a file.
func (c *Client) Read(ctx context.Context, path string) (string, error) {
	return call[string](ctx, c, "Read", path)
}

// Run runs a program to its end.
func (c *Client) Run(ctx context.Context, cmd Command) (Exit, error) {
	return call[Exit](ctx, c, "Run", cmd)
}

// Start starts a program and returns its process id. Wait must be called for it.
func (c *Client) Start(ctx context.Context, cmd Command) (int, error) {
	return call[int](ctx, c, "Start", cmd)
}

// Kill sends a signal to a program that was started.
func (c *Client) Kill(ctx context.Context, k Kill) error { return do(ctx, c, "Kill", k) }

// Wait returns how a program that was started has ended.
func (c *Client) Wait(ctx context.Context, pid int) (Exit, error) {
	return call[Exit](ctx, c, "Wait", pid)
}

// Make makes the chip. All its lines are pulled down.
func (c *Client) Make(ctx context.Context, chip Chip) error { return do(ctx, c, "Make", chip) }

// Plug takes the chip away, or gives it back, with all lines pulled down.
func (c *Client) Plug(ctx context.Context, in bool) error { return do(ctx, c, "Plug", in) }

// PlugUSB plugs a stick in. It returns before the kernel has found out what it is.
func (c *Client) PlugUSB(ctx context.Context, u USB) error { return do(ctx, c, "PlugUSB", u) }

// UnplugUSB takes the stick out of a port, and returns the guest's time before that.
func (c *Client) UnplugUSB(ctx context.Context, port int) (time.Time, error) {
	return call[time.Time](ctx, c, "UnplugUSB", port)
}

// Appear returns the guest's time as soon as there is a file that matches pattern.
func (c *Client) Appear(ctx context.Context, pattern string) (time.Time, error) {
	return call[time.Time](ctx, c, "Appear", pattern)
}

// Files returns how many files a process has open.
func (c *Client) Files(ctx context.Context, pid int) (int, error) {
	return call[int](ctx, c, "Files", pid)
}

// Pull holds a line from outside.
func (c *Client) Pull(ctx context.Context, p Level) error { return do(ctx, c, "Pull", p) }

// Level returns the level of a line.
func (c *Client) Level(ctx context.Context, line int) (bool, error) {
	return call[bool](ctx, c, "Level", line)
}

// Drive toggles lines.
func (c *Client) Drive(ctx context.Context, d Drive) (Driven, error) {
	return call[Driven](ctx, c, "Drive", d)
}

// Watch begins to look at lines; it returns after the first round. Seen ends it.
func (c *Client) Watch(ctx context.Context, w Watch) error { return do(ctx, c, "Watch", w) }

// Seen ends the Watch and returns what it has found out.
func (c *Client) Seen(ctx context.Context) (Seen, error) {
	return call[Seen](ctx, c, "Seen", None{})
}

// Await waits for levels.
func (c *Client) Await(ctx context.Context, a Await) (Awaited, error) {
	return call[Awaited](ctx, c, "Await", a)
}
