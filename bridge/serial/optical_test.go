package serial

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edge/internal/uart"
)

// A meterPort notes what is done with it.
type meterPort struct{ did []string }

func (p *meterPort) Write(b []byte) (int, error) {
	p.did = append(p.did, fmt.Sprintf("%q", b))
	return len(b), nil
}
func (p *meterPort) SetWriteDeadline(time.Time) error { return nil }
func (p *meterPort) Drain(context.Context) error      { p.did = append(p.did, "drain"); return nil }

func (p *meterPort) SetRate(baud, dataBits int, parity uart.Parity) error {
	p.did = append(p.did, fmt.Sprintf("%d %d %s", baud, dataBits, parity))
	return nil
}

func TestOpticalChangesTheRate(t *testing.T) {
	first := uart.Config{Baud: 300, DataBits: 7, Parity: uart.EvenParity}
	for _, tt := range []struct {
		name, said, want string
	}{
		{"mode C", "/LGZ5\\2ZMD120\r\n\x02", `"\x06050\r\n", drain, 9600 7 even`},
		{"mode C at 300", "/LGZ0ZMD\r\n", `"\x06000\r\n", drain`},
		{"mode B", "/ABBEmeter\r\n", "9600 7 even"},
		{"mode A", "/ABB meter\r\n", ""},
		{"small letter", "/LGz6meter\r\n", `"\x06060\r\n", drain, 19200 7 even`},
		{"echo first", "/?!\r\n/LGZ4ZMD\r\n", `"\x06040\r\n", drain, 4800 7 even`},
		{"no identification", "hello\r\n1/2\n/\n/A\n", ""},
		{"noise without end", strings.Repeat("/LGZ5", 1000), ""},
		{"only once", "/LGZ3ZMD\r\n/LGZ5ZMD\r\n", `"\x06030\r\n", drain, 2400 7 even`},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := new(meterPort)
			o := &optical{port: p, first: first, current: 300}
			if err := o.hear(t.Context(), []byte(tt.said)); err != nil || p.did != nil {
				t.Errorf("%s: before a sign-on it did %v, %v", tt.name, p.did, err)
			}
			if err := o.begin([]byte("/?!\r\n")); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			for _, c := range []byte(tt.said) {
				if err := o.hear(t.Context(), []byte{c}); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.Join(p.did, ", "); got != tt.want {
				t.Errorf("%s: it did %s, want %s", tt.name, got, tt.want)
			}
			if took := time.Since(begin); strings.Contains(tt.want, "drain") && (took < 200*time.Millisecond || took > 1500*time.Millisecond) {
				t.Errorf("%s: it answered after %v, want 200 ms to 1.5 s", tt.name, took)
			}
			if len(o.heard) > longestIdentification {
				t.Errorf("%s: it keeps %d bytes", tt.name, len(o.heard))
			}
			p.did = nil
			if err := o.begin([]byte("/?!\r\n")); err != nil || o.current != 300 {
				t.Errorf("%s: the next sign-on is at %d baud, %v", tt.name, o.current, err)
			}
		})
	}
}

func TestOpticalEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := new(meterPort)
	o := &optical{port: p, first: uart.Config{Baud: 300}, current: 300}
	if err := o.begin([]byte("/?!\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := o.hear(ctx, []byte("/LGZ5x\r\n")); err != nil || p.did != nil {
		t.Errorf("it did %v, %v, want nothing", p.did, err)
	}
	var none *optical
	if none.begin([]byte("/?!")) != nil || none.hear(ctx, []byte("/LGZ5x\r\n")) != nil {
		t.Error("no optical does something")
	}
}
