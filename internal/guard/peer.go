package guard

import (
	"errors"
	"fmt"
	"log/slog"
	"net"

	"golang.org/x/sys/unix"
)

// A process is the one at the other end of a wire.
type process interface {
	ended() bool
	kill() error
	Close() error
}

// A peer is a process by a descriptor that stays its own when its number becomes
// another's.
type peer struct {
	pid, uid int
	fd       int // -1: the kernel has none, before Linux 5.3
}

// peerOf returns who has connected.
func peerOf(conn *net.UnixConn) (*peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var p *peer
	var failed error
	err = raw.Control(func(s uintptr) {
		cred, err := unix.GetsockoptUcred(int(s), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			failed = fmt.Errorf("ask who has connected: %w", err)
			return
		}
		p = &peer{int(cred.Pid), int(cred.Uid), -1}
		// Since Linux 6.5. Before, the number is good: who has it by now must still say
		// hello at this socket.
		if fd, err := unix.GetsockoptInt(int(s), unix.SOL_SOCKET, unix.SO_PEERPIDFD); err == nil {
			p.fd = fd
		} else if fd, err := unix.PidfdOpen(p.pid, 0); err == nil {
			p.fd = fd
		}
	})
	return p, errors.Join(err, failed)
}

// String names the process, for logs.
func (p *peer) String() string { return fmt.Sprintf("process %d of user %d", p.pid, p.uid) }

// LogValue implements slog.LogValuer.
func (p *peer) LogValue() slog.Value { return slog.StringValue(p.String()) }

// ended reports whether the process is known to have ended.
func (p *peer) ended() bool {
	if p.fd < 0 {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
}

// kill ends the process, which can do nothing about it.
func (p *peer) kill() error {
	if p.fd < 0 {
		return errors.ErrUnsupported
	}
	return unix.PidfdSendSignal(p.fd, unix.SIGKILL, nil, 0)
}

// Close lets go of the process.
func (p *peer) Close() error {
	if p.fd < 0 {
		return nil
	}
	fd := p.fd
	p.fd = -1
	return unix.Close(fd)
}
