package uart_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/internal/uart"
)

// meter is two requests to an Eastron SDM120 and its answers: 230.4 V, 0.0 A.
const meter = `# edge capture 1
# port: /dev/ttyUSB0
# line: 2400 8N1 none
# start: 2026-11-27T22:24:07.5Z
0.000000 > 01 04 00 00 00 02 71 cb                         |......q.|
0.058210 < 01 04 04 43 66 66 66 c4 01                      |...Cfff..|
1.000004 > 01 04 00 06 00 02 91 ca                         |........|
1.058300 < 01 04 04 00 00 00 00 fb 84                      |.........|
`

func text(c *uart.Capture) string {
	b := c.AppendHead(nil)
	for _, k := range c.Chunks {
		b = k.AppendText(b)
	}
	return string(b)
}

func TestCaptureBothWays(t *testing.T) {
	c, err := uart.ReadCapture(strings.NewReader(meter))
	if err != nil {
		t.Fatal(err)
	}
	want := &uart.Capture{
		Port:  "/dev/ttyUSB0",
		Line:  uart.Config{Baud: 2400, DataBits: 8, Parity: uart.NoParity, StopBits: 1, Flow: uart.NoFlow},
		Start: time.Date(2026, 11, 27, 22, 24, 7, 500_000_000, time.UTC),
		Chunks: []uart.Chunk{
			{0, true, []byte("\x01\x04\x00\x00\x00\x02\x71\xcb")},
			{58210 * time.Microsecond, false, []byte("\x01\x04\x04Cfff\xc4\x01")},
			{1000004 * time.Microsecond, true, []byte("\x01\x04\x00\x06\x00\x02\x91\xca")},
			{1058300 * time.Microsecond, false, []byte("\x01\x04\x04\x00\x00\x00\x00\xfb\x84")},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("ReadCapture (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(meter, text(c)); diff != "" {
		t.Errorf("as text (-want +got):\n%s", diff)
	}
	long := uart.Chunk{At: 61 * time.Second, Bytes: bytes.Repeat([]byte("ab"), 20)}
	if got := string(long.AppendText(nil)); strings.Count(got, "\n") != 2 || strings.Count(got, "61.000000 < 61 62") != 2 {
		t.Errorf("40 bytes as text:\n%s", got)
	}
}

func TestReadCaptureForgives(t *testing.T) {
	const lenient = "# edge capture 1\r\n\r\n# a remark: by hand\n3 < 0aFF 01\n3.5 > 41 |what\n"
	c, err := uart.ReadCapture(strings.NewReader(lenient))
	want := []uart.Chunk{{3 * time.Second, false, []byte("\x0a\xff\x01")}, {3500 * time.Millisecond, true, []byte("A")}}
	if err != nil || !cmp.Equal(c.Chunks, want) {
		t.Errorf("ReadCapture = %+v, %v, want %+v", c, err, want)
	}
}

func TestReadCaptureSaysWhere(t *testing.T) {
	const head = "# edge capture 1\n"
	for _, tt := range []struct{ text, want string }{
		{"", "is empty"},
		{"hello", "line 1: is not"},
		{head + "0.1 = 01", "line 2: want a time, < or >"},
		{head + "0.1 <", "line 2: want a time, < or >"},
		{head + "x < 01", `"x" is not a time`},
		{head + "0.1234567 < 01", `"0.1234567" is not a time`},
		{head + "-1 < 01", `"-1" is not a time`},
		{head + "0 < 1", `"1" is not in hexadecimal digits`},
		{head + "0 < 0g", `"0g" is not in hexadecimal digits`},
		{head + "1 < 01\n0.5 < 02", "line 3: is earlier than the one before"},
		{head + "# line: 9600 8X1 none", "is not the settings of a line"},
		{head + "# line: 9600", "is not the settings of a line"},
		{head + "# start: yesterday", "line 2: parsing time"},
		{head + strings.Repeat("a", 70000), "line 2: bufio.Scanner: token too long"},
		{head + strings.Repeat("\n", 1<<20), "is longer than"},
	} {
		if c, err := uart.ReadCapture(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ReadCapture of %.40q = %v, %v, want %q within", tt.text, c, err, tt.want)
		}
	}
}

// FuzzReadCapture: what could be read is the same after it was written.
func FuzzReadCapture(f *testing.F) {
	f.Add(meter)
	f.Add("# edge capture 1\n3 < 0aFF 01\n3.5 > 41 |what\n# line: 300 7E2 xonxoff\n")
	f.Add("# edge capture 1\n# port: \x1b[31m\n2147483647.999999 < 00\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := uart.ReadCapture(strings.NewReader(s))
		if err != nil {
			return
		}
		first := text(c)
		again, err := uart.ReadCapture(strings.NewReader(first))
		if err != nil {
			t.Fatalf("%q, written as %q: %v", s, first, err)
		}
		if second := text(again); second != first {
			t.Errorf("%q, written as %q, and again as %q", s, first, second)
		}
	})
}
