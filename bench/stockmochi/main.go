// Command stockmochi is mochi-mqtt/server as its own example starts it, for the
// benchmark to compare with: everything by default, everybody let in.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// An allow hook lets everybody in, as mochi's own auth.AllowHook does; the
// package of that one needs a second YAML library for its access lists.
type allow struct{ mqtt.HookBase }

func (allow) ID() string { return "allow" }

func (allow) Provides(hook byte) bool {
	return hook == mqtt.OnConnectAuthenticate || hook == mqtt.OnACLCheck
}

func (allow) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (allow) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: stockmochi HOST:PORT")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "stockmochi:", err)
		os.Exit(1)
	}
}

func run(addr string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)

	// A line of log for each connection would be charged to the broker.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	server := mqtt.New(&mqtt.Options{Logger: log})
	if err := server.AddHook(new(allow), nil); err != nil {
		return fmt.Errorf("allow everybody: %w", err)
	}
	tcp := listeners.NewTCP(listeners.Config{Type: listeners.TypeTCP, ID: "tcp", Address: addr})
	if err := server.AddListener(tcp); err != nil {
		return fmt.Errorf("listen at %s: %w", addr, err)
	}
	if err := server.Serve(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	<-stop
	return server.Close()
}
