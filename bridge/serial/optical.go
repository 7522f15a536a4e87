package serial

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"

	"edge/internal/uart"
)

// An optical has the part of a conversation by IEC 62056-21 that is about the
// rate (§6.3 and §6.4): a meter is signed on to at 300 baud, and its answer has a
// character for the rate that it can. In mode C that is acknowledged, in mode B it
// holds at once, and in mode A there is none:
//
//	/?! CR LF                                   at the first rate
//	                  / X X X Z … CR LF         Z is 5, or E: 9600 baud
//	ACK 0 Z 0 CR LF                             only in mode C
//	                  STX … ! CR LF ETX BCC     at 9600 baud
//
// The next sign-on is at the first rate again. A nil optical does nothing.
type optical struct {
	port  opticalPort
	first uart.Config

	mu      sync.Mutex
	signed  bool   // on: an identification is awaited
	heard   []byte // since then, up to a line feed
	current int    // baud
}

// An opticalPort is a *uart.Port.
type opticalPort interface {
	Write(b []byte) (int, error)
	SetWriteDeadline(t time.Time) error
	Drain(ctx context.Context) error
	SetRate(baud, dataBits int, parity uart.Parity) error
}

var _ opticalPort = (*uart.Port)(nil)

const (
	// reaction is what a meter needs between a message and the next: 200 ms at
	// least, 1.5 s at most (§6.4.3.2).
	reaction = 250 * time.Millisecond

	// longestIdentification is a slash, three letters, the rate, 16 characters with
	// two sequences before them, and the end (§6.3.2), with some room.
	longestIdentification = 64
)

// opticalRates are the bauds of the characters 0 to 6 of mode C, and of A to F of
// mode B from the second on (§6.3.13).
var opticalRates = []int{300, 600, 1200, 2400, 4800, 9600, 19200}

// begin is called before b is sent.
func (o *optical) begin(b []byte) error {
	if o == nil || !bytes.HasPrefix(b, []byte("/?")) {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.signed, o.heard = true, nil
	return o.set(o.first.Baud)
}

// set changes the rate. The parity stays.
func (o *optical) set(baud int) error {
	if baud == o.current {
		return nil
	}
	if err := o.port.SetRate(baud, o.first.DataBits, o.first.Parity); err != nil {
		return err
	}
	o.current = baud
	return nil
}

// hear is called with what has come, and answers an identification.
func (o *optical) hear(ctx context.Context, b []byte) error {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range b {
		if !o.signed {
			return nil
		}
		if c != '\n' {
			o.heard = append(o.heard, c)
			o.heard = o.heard[max(0, len(o.heard)-longestIdentification):]
			continue
		}
		line := string(o.heard)
		o.heard = nil
		if mode, baud := identification(line); baud != 0 {
			o.signed = false
			return o.change(ctx, mode, baud)
		}
	}
	return nil
}

// identification returns the character of the rate, and the baud; 0 if the line is
// none, such as the echo of what was sent.
func identification(line string) (char byte, baud int) {
	i := strings.LastIndexByte(line, '/')
	if i < 0 || len(line) < i+5 || strings.Trim(strings.ToUpper(line[i+1:i+4]), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return 0, 0
	}
	switch char = line[i+4]; {
	case char >= '0' && char <= '6':
		return char, opticalRates[char-'0']
	case char >= 'A' && char <= 'F':
		return char, opticalRates[char-'A'+1]
	}
	return char, opticalRates[0]
}

// change goes to the rate that the meter has told.
func (o *optical) change(ctx context.Context, char byte, baud int) error {
	if char < '0' || char > '6' {
		return o.set(baud)
	}
	timer := time.NewTimer(reaction)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
	}
	if err := o.port.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := o.port.Write([]byte{0x06, '0', char, '0', '\r', '\n'}); err != nil {
		return err
	}
	if err := o.port.Drain(ctx); err != nil {
		return err
	}
	return o.set(baud)
}
