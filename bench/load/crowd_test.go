package load

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"edge/bench/wire"
)

func crowd(n int) []Login {
	var logins []Login
	for i := range n {
		logins = append(logins, Login{Session: wire.Session{ClientID: fmt.Sprint("c", i)}})
	}
	return logins
}

// TestGather has a crowd come to a broker that refuses some at first.
func TestGather(t *testing.T) {
	b := startBroker(t, nil)
	b.busy.Store(3)
	c, err := Gather(t.Context(), b.addr, crowd(10), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	came := 0
	for _, sessions := range b.clean {
		came += len(sessions)
	}
	if len(b.clean) != 10 || came != 13 || len(c.conns) != 10 {
		t.Errorf("%d clients came %d times, and %d are there; want 10, 13 times", len(b.clean), came, len(c.conns))
	}
}

// TestGatherGivesUp has nobody come in.
func TestGatherGivesUp(t *testing.T) {
	b := startBroker(t, nil)
	b.busy.Store(1 << 30)
	ctx, cancel := context.WithTimeout(t.Context(), quiet)
	defer cancel()
	if _, err := Gather(ctx, b.addr, crowd(3), 3); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Gather = %v, want the end of its time", err)
	}
}

func TestTLS(t *testing.T) {
	b, trust := startSecure(t)
	s := spec(1)
	s.TLS = trust
	if tally, err := drive(t, b.addr, s); tally.Delivered != 500 || tally.Lost != 0 || err != nil {
		t.Errorf("over TLS: %+v, %v, want 500 messages", tally, err)
	}
	s.TLS = trust.Clone()
	s.TLS.RootCAs = x509.NewCertPool()
	if f, err := Start(t.Context(), b.addr, s); err == nil {
		f.close()
		t.Error("a broker that is not trusted is spoken to")
	}
}
