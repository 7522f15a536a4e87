package serial_test

import (
	"testing"
	"time"

	"edge/bridge/bridgetest"
	"edge/bridge/serial"
	"edge/internal/sim"
)

// awaitRate returns when the near end of a line has this rate, and whether it
// came to that.
func awaitRate(far *sim.PTY, baud int) bool {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for range look.C {
		switch near, err := far.Rate(); {
		case err != nil:
			return false
		case near.Baud == baud:
			return true
		}
	}
	return false
}

// TestMeterIsReadByModeC: a meter that is signed on to at 300 baud is read at the
// 9600 that it tells, again and again.
func TestMeterIsReadByModeC(t *testing.T) {
	meter, err := serial.LoadDevice("iec62056-21", "")
	if err != nil {
		t.Fatal(err)
	}
	data := "1.8.0(001234.5*kWh)\r\n!\r\n\x03"
	sum := byte(0)
	for i := range len(data) {
		sum ^= data[i]
	}
	far, port := plug(t)
	reads := make(chan bool, 100)
	answer(t, far, func(line string) string {
		near, err := far.Rate()
		switch {
		case err != nil:
			return ""
		case line == "/?!\r" && near.Baud == 300:
			return "/LGZ5\\2ZMD120\r\n"
		case line == "\x06050\r": // the near end may have changed already
			if awaitRate(far, 9600) {
				reads <- true
				return "\x02" + data + string(sum)
			}
		}
		t.Errorf("the meter got %q at %d baud", line, near.Baud)
		return ""
	})
	c := run(t, port, func(c *serial.Config) {
		name := c.Port
		*c = meter.Serial
		c.Port = name
		c.Requests[0].Every = 300 * time.Millisecond
	})
	bridgetest.Expect(t, c, base.State("energy"), "1234.5")
	for range 2 {
		<-reads
	}
}
