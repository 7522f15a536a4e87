package metrics

import (
	"net"
	"testing"
	"testing/synctest"
)

// endless is a listener that always has a connection.
type endless struct{ net.Listener }

func (endless) Accept() (net.Conn, error) {
	c, _ := net.Pipe()
	return c, nil
}

// broken is a listener that is closed.
type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, net.ErrClosed }

// TestLimit has one connection more than may be open: it is accepted when
// another is closed.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit(endless{}, 2)
		first, _ := l.Accept()
		second, _ := l.Accept()
		third := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			third <- c
		}()
		synctest.Wait()
		if len(third) > 0 {
			t.Error("a third connection was accepted where two may be open")
		}
		first.Close()
		first.Close() // Twice is once.
		synctest.Wait()
		if len(third) != 1 {
			t.Fatal("the third connection was not accepted when the first was closed")
		}
		second.Close()
		(<-third).Close()
	})
}

func TestLimitOfErrors(t *testing.T) {
	l := limit(broken{}, 1)
	for range 3 {
		if _, err := l.Accept(); err == nil {
			t.Error("Accept of a closed listener returns no error")
		}
	}
}
