package peer

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Kept returns p as its users set it up where no acknowledged message may be lost:
// mosquitto with a database that it saves at each change, mochi with each of its
// storage hooks. What is queued is not limited.
func (s Source) Kept(ctx context.Context, p Peer) ([]Peer, error) {
	switch p.Name {
	case "edge":
		p.command = edgeKept
	case "mosquitto":
		p.command = mosquittoKept("autosave_interval 1\nautosave_on_changes true\n")
	case "mochi":
		return s.stores(ctx, p)
	}
	return []Peer{p}, nil
}

// edgeConfig takes queues that are longer than the default.
const edgeConfig = `broker:
  limits: {queue_messages: 100000000, queue_bytes: 2000000000, store_bytes: 100000000000}
`

func edgeKept(path, addr, dir string) ([]string, error) { return edgeWith(edgeConfig)(path, addr, dir) }

func edgeWith(config string) func(path, addr, dir string) ([]string, error) {
	return func(path, addr, dir string) ([]string, error) {
		file := filepath.Join(dir, "edge.yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			return nil, err
		}
		argv, err := edgeCommand(path, addr, dir)
		return append(argv, "--config", file), err
	}
}

// Within returns edge with all messages below bench in the durability class
// `within: 1s`.
func (p Peer) Within() Peer {
	p.command = edgeWith(edgeConfig + "  durability: [{filter: \"bench/#\", within: 1s}]\n")
	return p
}

func mosquittoKept(saving string) func(path, addr, dir string) ([]string, error) {
	return func(path, addr, dir string) ([]string, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		conf := strings.Replace(mosquittoConfig, "persistence false", "persistence true", 1)
		conf = fmt.Sprintf(conf, port, host) + saving + "persistence_location " + dir + "/\n"
		file := filepath.Join(dir, "mosquitto.conf")
		return []string{path, "-c", file}, os.WriteFile(file, []byte(conf), 0o600)
	}
}

// Saved returns mosquitto with a database that it saves when it ends, and other
// brokers as they are.
func (p Peer) Saved() Peer {
	if p.Name == "mosquitto" {
		p.command = mosquittoKept("")
	}
	return p
}

// stores returns mochi with its storage hooks. They are in a module of their own.
func (s Source) stores(ctx context.Context, p Peer) ([]Peer, error) {
	path := filepath.Join(s.Dir, "durablemochi")
	if _, err := os.Stat(path); err != nil {
		root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			return nil, fmt.Errorf("find the module: %w", err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
		cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), "bench", "durablemochi")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("go build in %s: %w\n%s", cmd.Dir, err, msg)
		}
	}
	var all []Peer
	for _, store := range []string{"bolt", "badger", "pebble"} {
		k := p
		k.Name, k.Path, k.ready = "mochi "+store, path, "ready"
		k.command = func(path, addr, dir string) ([]string, error) { return []string{path, store, addr, dir}, nil }
		all = append(all, k)
	}
	return all, nil
}

// Slowed returns p with each fdatasync 10 ms longer, by strace, which must be
// there. Its own process is the broker's; strace watches from behind.
func (p Peer) Slowed() (Peer, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return p, fmt.Errorf("strace: %w: run `make peers`", ErrMissing)
	}
	plain := p.command
	p.command = func(path, addr, dir string) ([]string, error) {
		argv, err := plain(path, addr, dir)
		return append([]string{
			strace, "-D", "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null",
			"-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=10000",
		}, argv...), err
	}
	return p, nil
}
