package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"
)

// A Stick is a sensor stick on a serial line. It measures a room and says so in
// JSON, one object a line:
//
//	{"temperature":21.4,"humidity":48.2,"co2":612}
//
// It takes commands, a line each, and answers with a line:
//
//	led on        {"led":"on"}
//	rate 500ms    {"rate":"500ms"}
//	anything      {"error":"unknown command \"anything\""}
//
// As many sticks do, it speaks up when somebody opens its port: it says how its
// LED is, and measures at once. What it says while nobody listens is lost.
type Stick struct {
	link string

	mu     sync.Mutex
	pty    *PTY // nil: unplugged
	cancel context.CancelFunc
	done   sync.WaitGroup
}

const (
	firstRate = 2 * time.Second
	fastest   = 10 * time.Millisecond
	slowest   = time.Hour

	// glance is how often an idle stick looks whether its port was opened:
	// for that a pseudo-terminal has no event.
	glance = 20 * time.Millisecond
)

// NewStick returns a stick that is not plugged in yet. Its port will have the
// name link, as from /dev/serial/by-id.
func NewStick(link string) *Stick { return &Stick{link: link} }

// Link returns the name of the port. It is there while the stick is plugged in.
func (s *Stick) Link() string { return s.link }

// Run is a stick that is plugged in until ctx ends. Meanwhile Unplug and Plug
// may be called.
func (s *Stick) Run(ctx context.Context) error {
	if err := s.Plug(); err != nil {
		return err
	}
	<-ctx.Done()
	s.Unplug()
	return nil
}

// Plug plugs the stick in, with its LED off, every 2 s a measurement and the
// air as it is at the start. It does nothing if it is plugged in.
func (s *Stick) Plug() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pty != nil {
		return nil
	}
	pty, err := NewPTY(s.link)
	if err != nil {
		return fmt.Errorf("plug in stick %s: %w", s.link, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.pty, s.cancel = pty, cancel
	f := &firmware{pty: pty, orders: make(chan string), led: "off"}
	s.done.Go(func() { f.listen(ctx) })
	s.done.Go(func() { f.live(ctx) })
	return nil
}

// Unplug takes the stick away and returns when it is quite gone.
func (s *Stick) Unplug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pty == nil {
		return
	}
	s.cancel()
	s.pty.Close()
	s.done.Wait()
	s.pty = nil
}

// firmware is what runs in a stick from when it has power until it has none.
type firmware struct {
	pty    *PTY
	orders chan string // lines that came in
	led    string
}

// live measures and obeys. All state is its own.
func (f *firmware) live(ctx context.Context) {
	measure, look := time.NewTicker(firstRate), time.NewTicker(glance)
	defer measure.Stop()
	defer look.Stop()
	air, open := newAir(), false
	for {
		select {
		case <-ctx.Done():
			return
		case order := <-f.orders:
			answer, rate := f.obey(order)
			f.pty.send(answer)
			if rate > 0 {
				measure.Reset(rate)
			}
		case <-measure.C:
			air.step()
			if open {
				f.pty.send(air.String())
			}
		case <-look.C:
			was := open
			if open = f.pty.Listening(); open && !was {
				f.pty.send(fmt.Sprintf("{\"led\":%q}\n", f.led) + air.String())
			}
		}
	}
}

// obey does what an order says and returns the answer; rate is not zero if it
// is to change.
func (f *firmware) obey(order string) (answer string, rate time.Duration) {
	verb, arg, _ := strings.Cut(strings.TrimSpace(order), " ")
	switch arg = strings.ToLower(strings.TrimSpace(arg)); {
	case verb == "led" && (arg == "on" || arg == "off"):
		f.led = arg
		return fmt.Sprintf("{\"led\":%q}\n", f.led), 0
	case verb == "rate":
		d, err := time.ParseDuration(arg)
		if err != nil || d < fastest || d > slowest {
			return fault(fmt.Sprintf("rate is from %v to %v", fastest, slowest)), 0
		}
		return fmt.Sprintf("{\"rate\":%q}\n", d), d
	}
	return fault(fmt.Sprintf("unknown command %q", order)), 0
}

func fault(text string) string {
	b, _ := json.Marshal(map[string]string{"error": text})
	return string(b) + "\n"
}

// listen hands over the lines that come in. A line that is too long is taken
// in pieces, by the size of the buffer.
func (f *firmware) listen(ctx context.Context) {
	in := bufio.NewReaderSize(patient{ctx, f.pty}, 256)
	for {
		line, prefix, err := in.ReadLine()
		if err != nil {
			return
		}
		if len(line) == 0 && !prefix {
			continue
		}
		select {
		case f.orders <- string(line):
		case <-ctx.Done():
			return
		}
	}
}

// patient reads from a line that others open and close.
type patient struct {
	ctx context.Context
	pty *PTY
}

func (p patient) Read(b []byte) (int, error) {
	for {
		n, err := p.pty.Read(b)
		if err == nil || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
			return n, err
		}
		select { // EIO: nobody has the port open
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		case <-time.After(glance):
		}
	}
}

// air is a room whose values walk around where they were at first, the same
// way each time.
type air struct {
	rnd                        *rand.Rand
	temperature, humidity, co2 float64
}

func newAir() *air {
	return &air{rand.New(rand.NewPCG(21, 4)), 21.4, 48.2, 612}
}

func (a *air) step() {
	walk := func(v *float64, home, pace float64) {
		*v += 0.05*(home-*v) + pace*a.rnd.NormFloat64()
	}
	walk(&a.temperature, 21.4, 0.1)
	walk(&a.humidity, 48.2, 0.2)
	walk(&a.co2, 612, 8)
	a.humidity, a.co2 = min(max(a.humidity, 0), 100), max(a.co2, 400)
}

func (a *air) String() string {
	return fmt.Sprintf("{\"temperature\":%.1f,\"humidity\":%.1f,\"co2\":%.0f}\n", a.temperature, a.humidity, a.co2)
}
