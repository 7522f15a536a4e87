package serial_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edge/bridge"
	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/sim"
)

// BenchmarkLines is the CPU time for a line of JSON on a pseudo-terminal, from the
// port to the state of an entity that is published in memory, beside that of Node.js with serialport,
// which reads and parses it and publishes nothing. What either takes to start
// is not counted; of edge, the time in which the other end writes is.
//
//	go test -run '^$' -bench Lines -benchtime 50000x ./bridge/serial
func BenchmarkLines(b *testing.B) {
	b.Run("serialport", func(b *testing.B) {
		_ = serialport(b, 1) // what it takes from the disk is warm then
		report(b, serialport(b, b.N+1)-serialport(b, 1))
	})
	b.Run("edge", func(b *testing.B) {
		far, port := plug(b)
		s := &sink{done: make(chan struct{})}
		bridgetest.Run(b, s, newBridge(b, base, port, func(c *serial.Config) {
			c.Heartbeat, c.Entities = 0, []serial.Entity{{ID: "number", Kind: bridge.Sensor}}
		}))
		bridgetest.Expect(b, &s.Client, base.Status(), "online")
		start := used(b)
		writeLines(b, far, b.N)
		if _, err := far.WriteString(`{"number":` + lastNumber + "}\n"); err != nil {
			b.Fatal(err)
		}
		<-s.done
		report(b, used(b)-start)
		if s.found != b.N {
			b.Errorf("%d of %d lines were found", s.found, b.N)
		}
	})
}

// serialport returns the CPU time of Node.js for n lines.
func serialport(b *testing.B, n int) time.Duration {
	b.Helper()
	const module = "../../build/peers.d/node_modules/serialport/package.json"
	node, err := exec.LookPath("node")
	if _, missing := os.Stat(module); err != nil || missing != nil {
		b.Skip("serialport for Node.js is not installed; `make peers` does it")
	}
	far, port := plug(b)
	cmd := exec.Command(node, "testdata/readline.mjs", port, strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Errorf("serialport says %q, %v, want ready", line, err)
	}
	writeLines(b, far, n)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// writeLines writes n lines, some at once, as a fast line brings them.
func writeLines(b *testing.B, far *sim.PTY, n int) {
	b.Helper()
	if err := far.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	for i := 0; i < n; {
		var text []byte
		for ; i < n && len(text) < 1000; i++ {
			text = fmt.Appendf(text, `{"number":%d,"bme":{"temperature":21.4,"humidity":48.2}}`+"\n", i)
		}
		if _, err := far.Write(text); err != nil {
			b.Fatal(err)
		}
	}
}

func used(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func report(b *testing.B, spent time.Duration) {
	b.Helper()
	b.ReportMetric(float64(spent.Nanoseconds())/1000/float64(b.N), "cpu-µs/line")
}
