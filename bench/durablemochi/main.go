// Command durablemochi is stock mochi-mqtt/server with one of the storage hooks
// that come with it, for the benchmark to compare with: everything by default,
// everybody let in. It is a module of its own, so that the databases are not among
// the dependencies of edge.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/storage/badger"
	"github.com/mochi-mqtt/server/v2/hooks/storage/bolt"
	"github.com/mochi-mqtt/server/v2/hooks/storage/pebble"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// An allow hook lets everybody in.
type allow struct{ mqtt.HookBase }

func (allow) ID() string { return "allow" }

func (allow) Provides(hook byte) bool {
	return hook == mqtt.OnConnectAuthenticate || hook == mqtt.OnACLCheck
}

func (allow) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (allow) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: durablemochi bolt|badger|pebble HOST:PORT DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "durablemochi:", err)
		os.Exit(1)
	}
}

func run(store, addr, dir string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)

	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	server := mqtt.New(&mqtt.Options{Logger: log})
	if err := server.AddHook(new(allow), nil); err != nil {
		return fmt.Errorf("allow everybody: %w", err)
	}
	if err := addStore(server, store, dir); err != nil {
		return fmt.Errorf("open the %s store in %s: %w", store, dir, err)
	}
	tcp := listeners.NewTCP(listeners.Config{Type: listeners.TypeTCP, ID: "tcp", Address: addr})
	if err := server.AddListener(tcp); err != nil {
		return fmt.Errorf("listen at %s: %w", addr, err)
	}
	if err := server.Serve(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	fmt.Fprintln(os.Stderr, "ready")
	<-stop
	return server.Close()
}

// addStore adds a storage hook with the defaults of its package, but for where it
// writes.
func addStore(server *mqtt.Server, store, dir string) error {
	switch store {
	case "bolt":
		return server.AddHook(new(bolt.Hook), &bolt.Options{Path: filepath.Join(dir, "bolt.db")})
	case "badger":
		return server.AddHook(new(badger.Hook), &badger.Options{Path: filepath.Join(dir, "badger")})
	case "pebble":
		return server.AddHook(new(pebble.Hook), &pebble.Options{Path: filepath.Join(dir, "pebble")})
	}
	return fmt.Errorf("there is no such store: want bolt, badger or pebble")
}
