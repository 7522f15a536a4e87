package uart

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A Capture is what passed on a line, and when. As text it has a head of
// comments, and a line for each piece of at most 32 bytes, which people can read
// and compare:
//
//	# edge capture 1
//	# port: /dev/ttyUSB0
//	# line: 9600 8N1 none
//	# start: 2026-11-27T22:24:07Z
//	0.000000 > 01 03 00 00 00 02 c4 0b                          |........|
//	0.023418 < 01 03 04 43 66 00 00 8e 1d                       |...Cf....|
//
// The time is in seconds since the start; > was sent to the device, < came from
// it; what is behind | repeats the bytes. Empty lines and other comments mean
// nothing.
type Capture struct {
	Port   string // its name; may be empty, as all of the head
	Line   Config // without Port
	Start  time.Time
	Chunks []Chunk
}

// A Chunk is bytes that passed at one time.
type Chunk struct {
	At    time.Duration // since the start, in whole microseconds
	Sent  bool          // to the device
	Bytes []byte
}

const (
	captureMagic = "# edge capture 1"

	// captureWidth is how many bytes are in a line of text.
	captureWidth = 32

	// MaxCapture is how many bytes of text, and how many lines, are read.
	MaxCapture      = 64 << 20
	maxCaptureLines = 1 << 20
)

// AppendHead appends the head of a capture as text.
func (c *Capture) AppendHead(b []byte) []byte {
	b = append(b, captureMagic...)
	if c.Port != "" {
		b = fmt.Appendf(b, "\n# port: %s", strings.Map(visible, c.Port))
	}
	if l := c.Line; l.Baud != 0 {
		l = l.withDefaults()
		b = fmt.Appendf(b, "\n# line: %d %d%c%d %s", l.Baud, l.DataBits, l.Parity[0]&^0x20, l.StopBits, l.Flow)
	}
	if !c.Start.IsZero() {
		b = fmt.Appendf(b, "\n# start: %s", c.Start.UTC().Format(time.RFC3339Nano))
	}
	return append(b, '\n')
}

func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}

// AppendText appends the lines of a chunk.
func (c Chunk) AppendText(b []byte) []byte {
	for rest := c.Bytes; len(rest) > 0; {
		piece := rest[:min(len(rest), captureWidth)]
		rest = rest[len(piece):]
		us := c.At.Microseconds()
		b = fmt.Appendf(b, "%d.%06d %c ", us/1e6, us%1e6, c.arrow())
		start := len(b)
		for _, v := range piece {
			b = append(hex.AppendEncode(b, []byte{v}), ' ')
		}
		for len(b) < start+3*min(captureWidth, 16) {
			b = append(b, ' ')
		}
		b = append(append(append(b, '|'), printed(piece)...), '|', '\n')
	}
	return b
}

func (c Chunk) arrow() byte {
	if c.Sent {
		return '>'
	}
	return '<'
}

// printed returns b with a point for what is not visible ASCII.
func printed(b []byte) []byte {
	out := make([]byte, len(b))
	for i, v := range b {
		if v < ' ' || v > '~' {
			v = '.'
		}
		out[i] = v
	}
	return out
}

// ReadCapture reads a capture from text. An error says in which line it is; a
// capture that is longer than MaxCapture is one.
func ReadCapture(r io.Reader) (*Capture, error) {
	limited := &io.LimitedReader{R: r, N: MaxCapture + 1}
	lines := bufio.NewScanner(limited)
	c := new(Capture)
	n := 0
	for lines.Scan() {
		n++
		text := strings.TrimSuffix(lines.Text(), "\r")
		if err := c.readLine(n, text); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, fmt.Errorf("line %d: %w", n+1, lines.Err())
	case limited.N == 0 || n > maxCaptureLines:
		return nil, fmt.Errorf("is longer than %d MiB or %d lines", MaxCapture>>20, maxCaptureLines)
	case n == 0:
		return nil, errors.New("is empty; want " + captureMagic)
	}
	return c, nil
}

func (c *Capture) readLine(n int, text string) error {
	switch {
	case n == 1 && text != captureMagic:
		return fmt.Errorf("is not %q: this is no capture", captureMagic)
	case strings.HasPrefix(text, "#"):
		return c.readHead(text)
	case strings.TrimSpace(text) == "" || n > maxCaptureLines:
		return nil
	}
	chunk, err := readChunk(text)
	if err != nil {
		return err
	}
	if k := len(c.Chunks); k > 0 && chunk.At < c.Chunks[k-1].At {
		return errors.New("is earlier than the one before")
	}
	c.Chunks = append(c.Chunks, chunk)
	return nil
}

func (c *Capture) readHead(text string) (err error) {
	key, value, ok := strings.Cut(strings.TrimPrefix(text, "# "), ": ")
	switch {
	case !ok:
	case key == "port":
		c.Port = value
	case key == "line":
		c.Line, err = readLineSettings(value)
	case key == "start":
		c.Start, err = time.Parse(time.RFC3339Nano, value)
	}
	return err
}

// readLineSettings reads 9600 8N1 none.
func readLineSettings(s string) (Config, error) {
	f := strings.Fields(s)
	if len(f) == 3 && len(f[1]) == 3 {
		cfg := Config{DataBits: int(f[1][0] - '0'), StopBits: int(f[1][2] - '0'), Flow: Flow(f[2])}
		cfg.Baud, _ = strconv.Atoi(f[0])
		for _, p := range parities {
			if p[0]&^0x20 == f[1][1] {
				cfg.Parity = p
			}
		}
		check := cfg
		check.Port = "x"
		if cfg.lineSet() && check.Validate() == nil {
			return cfg, nil
		}
	}
	return Config{}, fmt.Errorf("%q is not the settings of a line, such as 9600 8N1 none", s)
}

// lineSet reports that no setting is left to its default.
func (c Config) lineSet() bool {
	return c.Baud != 0 && c.DataBits != 0 && c.Parity != "" && c.StopBits != 0 && c.Flow != ""
}

// readChunk reads 0.023418 < 01 03 |..|.
func readChunk(text string) (c Chunk, err error) {
	text, _, _ = strings.Cut(text, "|")
	f := strings.Fields(text)
	if len(f) < 3 || f[1] != "<" && f[1] != ">" {
		return c, errors.New("want a time, < or >, and bytes in hexadecimal digits")
	}
	c.Sent = f[1] == ">"
	if c.At, err = readSeconds(f[0]); err != nil {
		return c, err
	}
	for _, h := range f[2:] {
		b, err := hex.DecodeString(h)
		if err != nil {
			return c, fmt.Errorf("%q is not in hexadecimal digits", h)
		}
		c.Bytes = append(c.Bytes, b...)
	}
	return c, nil
}

// readSeconds reads seconds with up to six digits behind the point.
func readSeconds(s string) (time.Duration, error) {
	whole, part, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseUint(whole, 10, 31)
	us, err2 := strconv.ParseUint((part + "000000")[:6], 10, 32)
	if err != nil || err2 != nil || len(part) > 6 {
		return 0, fmt.Errorf("%q is not a time in seconds, such as 0.023418", s)
	}
	return time.Duration(sec)*time.Second + time.Duration(us)*time.Microsecond, nil
}
