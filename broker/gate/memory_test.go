package gate

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"edge/broker/journal"
)

// TestNoMemory ends the connection of who sends a large packet when there is no
// memory; small ones are taken as ever.
func TestNoMemory(t *testing.T) {
	lim := limits()
	lim.NoMemory = new(atomic.Bool)
	e := engine(journal.Memory{})
	client, server := net.Pipe()
	c := New(pipe{server}, e, lim, slog.New(slog.DiscardHandler))
	ended := make(chan struct{})
	go func() {
		_ = c.Serve(control{c})
		close(ended)
	}()
	defer func() {
		client.Close()
		<-ended
	}()
	large := fmt.Sprintf("30 %x 0001 61 00 %s", appendVarint(nil, 200_004), strings.Repeat("78", 200_000))
	say(t, client, connect5+large+"c0 00")
	hear(t, client, connack5, "d0 00")
	lim.NoMemory.Store(true)
	say(t, client, "c0 00"+large)
	hear(t, client, "d0 00", "e0 01 97", "EOF")
}
