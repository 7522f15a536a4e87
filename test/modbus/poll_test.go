package modbus_test

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"edge/internal/modbus"
)

// BenchmarkPoll is the CPU time of a client that reads four registers over a
// pseudo-terminal, beside that of others. The server is another process, and
// what it takes to start is not counted. On a line the silence between frames
// makes a poll take longer than any of this.
//
//	go test -run '^$' -bench Poll -benchtime 2000x ./test/modbus
func BenchmarkPoll(b *testing.B) {
	for _, tt := range []struct {
		peer    peer
		framing string
	}{{libmodbus, "rtu"}, {modbusSerial, "rtu"}, {pymodbus, "rtu"}} {
		b.Run(tt.peer.name, func(b *testing.B) {
			_ = tt.peer.pollTime(b, tt.framing, 1) // what it takes from the disk is warm then
			spent := tt.peer.pollTime(b, tt.framing, b.N+1) - tt.peer.pollTime(b, tt.framing, 1)
			report(b, spent)
		})
	}
	b.Run("edge", func(b *testing.B) {
		pty := newPTY(b)
		libmodbus.serves(b, "rtu", pty.Port())
		c := modbus.NewClient(pty, modbus.RTU, patient)
		start := ownTime(b)
		for range b.N {
			if _, err := c.ReadRegisters(b.Context(), 17, modbus.ReadHoldingRegisters, 107, 4); err != nil {
				b.Fatal(err)
			}
		}
		report(b, ownTime(b)-start)
	})
}

// pollTime returns the CPU time of a client that polls so often.
func (p peer) pollTime(b *testing.B, framing string, times int) time.Duration {
	b.Helper()
	cmd := p.command(b, "poll", framing, serve(b, framing, unit()))
	cmd.Args = append(cmd.Args, strconv.Itoa(times))
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", p.name, err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

func ownTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, spent time.Duration) {
	b.Helper()
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/poll")
}
