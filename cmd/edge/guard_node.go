package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"edge/bridge"
	"edge/bridge/gpio"
	"edge/internal/guard"
)

const (
	// guardReady is what a guard that was started by a hub says when it listens.
	guardReady = "ready"

	// guardStart is how long a hub waits for that.
	guardStart = 5 * time.Second

	// guardAgain is how soon a hub starts its guard again.
	guardAgain = time.Second

	// guardEnd is how long a hub that has said goodbye waits for its guard to end.
	guardEnd = 500 * time.Millisecond
)

// A guardKeeper keeps a guard of the hub's own running. One that is nil keeps none.
type guardKeeper struct {
	end      context.CancelFunc
	children sync.WaitGroup
}

// keepGuard starts a guard if there is to be one of the hub's own, before the hub gives
// its rights up: the guard takes its place before all others with them, and gives them
// up itself. It has a user to become, so that it may kill the hub, which is the same.
func (n *node) keepGuard(p *plan) *guardKeeper {
	if !p.Guard.Enabled || !n.ownGuard {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &guardKeeper{end: cancel}
	ready := make(chan struct{})
	k.children.Go(func() { n.keepRunning(ctx, p, sync.OnceFunc(func() { close(ready) })) })
	<-ready
	return k
}

// release has a guard that ends not be started again.
func (k *guardKeeper) release() {
	if k != nil {
		k.end()
	}
}

// close waits until the guard has ended, which knows that the hub does.
func (k *guardKeeper) close() {
	k.release()
	if k != nil {
		k.children.Wait()
	}
}

// openGuard puts the guard between bridges and chips, if there is to be one. stop says
// goodbye to it, after the bridges have let go.
func (n *node) openGuard(p *plan, keeper *guardKeeper) (stop func()) {
	if !p.Guard.Enabled {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var helpers sync.WaitGroup
	client := guard.NewClient(p.Guard.Socket, n.log.With("guard", p.Guard.Socket))
	n.adapt = func(b bridge.Bridge) bridge.Bridge { return guarded(b, client) }
	helpers.Go(func() {
		client.Run(ctx, func(s guard.State) {
			n.amend(func(a *nodeAttr) bool { a.Guard = s; return true })
		})
	})
	return func() {
		keeper.release()
		cancel()
		helpers.Wait()
	}
}

// guarded puts the guard under a bridge that wants GPIO chips.
func guarded(b bridge.Bridge, client *guard.Client) bridge.Bridge {
	if g, ok := b.(*gpio.Bridge); ok {
		return g.WithChips(client.Opener(gpio.Open))
	}
	return b
}

// keepRunning starts a guard, and again when it ends, until ctx does. One that is there
// already is used. ready is called when there is one, or is not to be waited for.
func (n *node) keepRunning(ctx context.Context, p *plan, ready func()) {
	defer ready()
	for ctx.Err() == nil {
		if guard.Listens(p.Guard.Socket) {
			ready()
		} else if err := runGuardChild(ctx, p, ready); err != nil && ctx.Err() == nil {
			n.log.Error("the guard does not run; it is started again", "err", err)
		}
		ready()
		select {
		case <-ctx.Done():
		case <-time.After(guardAgain):
		}
	}
}

// runGuardChild runs a guard in a session of its own, so that what ends this process
// does not end it too. When ctx ends it has been, or is about to be, said goodbye to; one
// that does not end then has never heard of the hub.
func runGuardChild(ctx context.Context, p *plan, ready func()) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "guard", "--attached", "--config", p.file,
		"--data", p.Data, "--socket", p.Guard.Socket, "--user", p.User, "--log-level", string(p.LogLevel))
	cmd.Env = withoutSystemd(os.Environ())
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	patience := time.AfterFunc(guardStart, ready)
	defer patience.Stop()
	ended := make(chan error, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			ready()
		}
		ended <- cmd.Wait()
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		select {
		case err = <-ended:
		case <-time.After(guardEnd):
			return cmd.Process.Signal(syscall.SIGTERM) // One that hangs hears it when it goes on.
		}
	}
	if err == nil && ctx.Err() == nil {
		err = errors.New("it has ended")
	}
	return err
}

// withoutSystemd leaves out of an environment what systemd has told this process alone.
func withoutSystemd(environ []string) (left []string) {
	for _, v := range environ {
		if !strings.HasPrefix(v, "NOTIFY_SOCKET=") && !strings.HasPrefix(v, "WATCHDOG_") {
			left = append(left, v)
		}
	}
	return left
}
