package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A notifier tells systemd how the service is. Without systemd it does nothing.
type notifier struct{ log *slog.Logger }

func (n notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("systemd does not listen; is NotifyAccess=main set?", "state", state, "err", err)
	}
}

func (n notifier) ready(status string) { n.send(daemon.SdNotifyReady + "\nSTATUS=" + status) }
func (n notifier) stopping()           { n.send(daemon.SdNotifyStopping + "\nSTATUS=stopping") }

// reloading must carry the time, or systemd takes an earlier READY for the end
// of this reload (Type=notify-reload in systemd.service(5)).
func (n notifier) reloading() {
	n.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, monotonic()))
}

func (n notifier) alive() { n.send(daemon.SdNotifyWatchdog) }

// interval is within what time systemd wants to hear that the service is alive; zero
// if it does not.
func (n notifier) interval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0
	}
	return interval
}

// watchdog says that all is well at half the interval that systemd asks for,
// as long as alive agrees; silence has systemd restart the service.
func (n notifier) watchdog(ctx context.Context, alive func(context.Context) error) {
	interval := n.interval()
	if interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			bounded, cancel := context.WithTimeout(ctx, interval/2)
			err := alive(bounded)
			cancel()
			if err == nil {
				n.alive()
			} else if ctx.Err() == nil {
				n.log.Error("messages do not get through; the watchdog will restart the service", "err", err)
			}
		}
	}
}
