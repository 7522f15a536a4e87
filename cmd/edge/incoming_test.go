package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/eclipse/paho.golang/packets"
)

func TestFrames(t *testing.T) {
	const longest = "\x30\x7e"
	whole := longest + strings.Repeat("x", 126)
	for _, tt := range []struct {
		name, in, out, err string
	}{
		{"nothing", "", "", "EOF"},
		{"a packet", "\xd0\x00", "\xd0\x00", "EOF"},
		{"two packets", "\xd0\x00\x40\x02\x00\x01", "\xd0\x00\x40\x02\x00\x01", "EOF"},
		{"the longest", whole, whole, "EOF"},
		{"a longer one", "\xd0\x00\x30\x7f" + strings.Repeat("x", 127), "\xd0\x00", "129 bytes, and at most 128"},
		{"the longest of all", "\x30\xff\xff\xff\x7f", "", "268435460 bytes"},
		{"a length in five bytes", "\x30\xff\xff\xff\xff\x01", "", "does not speak MQTT"},
		{"an endless length", "\x30" + strings.Repeat("\xff", 1000), "", "does not speak MQTT"},
		{"half a length", "\x30\xff", "", "unexpected EOF"},
		{"half a packet", "\x40\x02\x00", "\x40\x02\x00", "EOF"},
	} {
		for _, slow := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			f := &frames{r: bufio.NewReader(slow(strings.NewReader(tt.in))), most: 128}
			out, err := io.ReadAll(f)
			if err == nil {
				err = io.EOF
			}
			if string(out) != tt.out || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: read %q, %v; want %q and %q", tt.name, out, err, tt.out, tt.err)
			}
		}
	}
}

// FuzzIncoming has paho read what a hostile broker sends.
func FuzzIncoming(f *testing.F) {
	for _, seed := range []string{
		"\x20\x03\x00\x00\x00", "\x90\x04\x00\x01\x00\x00", "\x32\x08\x00\x01a\x00\x01\x00xx", "\x40\x02\x00\x01", "\xe0\x02\x82\x00",
		"\x20\x13\x00\x00\x10\x11\x00\x00\x00\x00\x21\x00\x10\x26\x00\x01a\x00\x01b", "\xb0\x04\x00\x01\x00\x00", "\xf0\x02\x00\x00",
		"\x62\x02\xaf\xaf\xaf\xaf\xaf\xaf\xaf\xaf\x00\x01", // paho alone panics
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := &frames{r: bufio.NewReader(bytes.NewReader(b)), most: 4096}
		for {
			if _, err := packets.ReadPacket(in); err != nil {
				if errors.Is(err, io.ErrNoProgress) {
					t.Fatal(err)
				}
				return
			}
		}
	})
}
