//go:build linux

package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A monitor speaks QMP (docs/interop/qmp-spec.txt in QEMU's sources).
type monitor struct {
	mu   sync.Mutex
	conn net.Conn
	in   *bufio.Reader
}

// dialMonitor waits for QEMU to listen, unless it ends before.
func dialMonitor(ctx context.Context, socket string, ended <-chan struct{}) (*monitor, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			m := &monitor{conn: conn, in: bufio.NewReader(conn)}
			if _, err := m.in.ReadString('\n'); err != nil { // the greeting
				return nil, fmt.Errorf("reach QEMU: %w", err)
			}
			_, err = m.run("qmp_capabilities", nil)
			return m, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("reach QEMU: %w", ctx.Err())
		case <-ended:
			return nil, errors.New("QEMU ended at once")
		case <-tick.C:
		}
	}
}

// patience is how long QEMU may take for an answer, on a machine that has
// other things to do.
const patience = time.Minute

// run carries out a command, and returns the status if the answer has one.
func (m *monitor) run(command string, args map[string]any) (status string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	request := map[string]any{"execute": command}
	if args != nil {
		request["arguments"] = args
	}
	if err := m.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if err := json.NewEncoder(m.conn).Encode(request); err != nil {
		return "", fmt.Errorf("ask QEMU for %s: %w", command, err)
	}
	for {
		line, err := m.in.ReadBytes('\n')
		if err != nil {
			return "", fmt.Errorf("ask QEMU for %s: %w", command, err)
		}
		var answer struct {
			Return struct {
				Status string
				Why    string `json:"error-desc"`
			}
			Error *struct{ Desc string }
			Event string
		}
		if err := json.Unmarshal(line, &answer); err != nil {
			return "", fmt.Errorf("ask QEMU for %s: %w", command, err)
		}
		switch {
		case answer.Error != nil:
			return "", fmt.Errorf("QEMU refuses %s: %s", command, answer.Error.Desc)
		case answer.Event == "":
			if r := answer.Return; r.Why != "" {
				return r.Status, fmt.Errorf("QEMU: %s", r.Why)
			}
			return answer.Return.Status, nil
		}
	}
}
