// Package peer builds, starts and measures the brokers that the benchmark
// compares: each on the same CPUs, alone, in a directory of its own.
package peer

import (
	"context"
	"crypto/tls"
	"debug/buildinfo"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrMissing says that a broker is not installed.
var ErrMissing = errors.New("not installed")

// A Peer is a broker that can be started.
type Peer struct {
	Name    string
	Version string
	Path    string // of its binary
	Place   Placement
	Built   bool   // from this tree, just now
	Under   string // where it gets its directory; empty: that for temporary files

	secure  bool   // has TLS
	ready   string // what its log says when it accepts connections
	command func(path, addr, dir string) ([]string, error)
}

// Names are the brokers that Find knows, the one under test first.
var Names = []string{"edge", "mosquitto", "mochi"}

// A Source says where Find gets brokers from.
type Source struct {
	Edge string // path of a binary of edge; empty: it is built
	Dir  string // where binaries are built
}

// Find returns the broker called name, built if it is one of ours. The error
// wraps ErrMissing when something must be installed first, and says how.
func (s Source) Find(ctx context.Context, name string) (Peer, error) {
	switch name {
	case "edge":
		return s.edge(ctx)
	case "mosquitto":
		return mosquitto(ctx)
	case "mochi":
		return s.mochi(ctx)
	}
	return Peer{}, fmt.Errorf("unknown broker %q: known are %s", name, strings.Join(Names, ", "))
}

func (s Source) edge(ctx context.Context) (Peer, error) {
	p := Peer{Name: "edge", Path: s.Edge, ready: "ready", command: edgeCommand}
	var err error
	if p.Path == "" {
		p.Path = filepath.Join(s.Dir, "edge")
		p.Built = true
		err = Build(ctx, "edge/cmd/edge", p.Path)
	} else {
		p.Path, err = filepath.Abs(s.Edge)
	}
	if err != nil {
		return Peer{}, err
	}
	out, err := exec.CommandContext(ctx, p.Path, "version").Output()
	if err != nil {
		return Peer{}, fmt.Errorf("ask %s for its version: %w", p.Path, err)
	}
	p.Version = strings.TrimPrefix(firstLine(out), "edge ")
	return p, nil
}

func edgeCommand(path, addr, dir string) ([]string, error) {
	return []string{path, "run", "--listen", "tcp://" + addr, "--data", filepath.Join(dir, "data"), "--allow-anonymous"}, nil
}

// mosquittoConfig is Debian's default but for what would lose messages: no limit
// to queues and windows. Nagle's algorithm stays on, as is its default: without
// it, each message is a segment of its own and costs half as much again.
const mosquittoConfig = `listener %s %s
allow_anonymous true
persistence false
log_type none
user root
max_queued_messages 0
max_inflight_messages 0
`

func mosquitto(ctx context.Context) (Peer, error) {
	// Debian installs it outside the path of ordinary users.
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/mosquitto")
	}
	if err != nil {
		return Peer{}, fmt.Errorf("mosquitto: %w: run `make peers`", ErrMissing)
	}
	out, _ := exec.CommandContext(ctx, path, "-h").Output() // it exits with 3
	version := strings.TrimPrefix(firstLine(out), "mosquitto version ")
	return Peer{Name: "mosquitto", Version: version, Path: path, command: mosquittoCommand}, nil
}

func mosquittoCommand(path, addr, dir string) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, mosquittoConfig, port, host), 0o644); err != nil {
		return nil, err
	}
	return []string{path, "-c", file}, nil
}

func (s Source) mochi(ctx context.Context) (Peer, error) {
	path := filepath.Join(s.Dir, "stockmochi")
	if err := Build(ctx, "edge/bench/stockmochi", path); err != nil {
		return Peer{}, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{Name: "mochi", Path: path, command: mochiCommand}
	for _, dep := range info.Deps {
		if strings.HasPrefix(dep.Path, "github.com/mochi-mqtt/server") {
			p.Version = strings.TrimPrefix(dep.Version, "v")
		}
	}
	return p, nil
}

func mochiCommand(path, addr, _ string) ([]string, error) {
	return []string{path, addr}, nil
}

// Build compiles the package pkg into the file out with the flags of a release,
// build/flags. env is added to the environment.
func Build(ctx context.Context, pkg, out string, env ...string) error {
	flags, err := releaseFlags(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, flags...), "-o", out, pkg)...)
	cmd.Env = append(os.Environ(), append(env, "CGO_ENABLED=0")...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, msg)
	}
	return nil
}

func releaseFlags(ctx context.Context) ([]string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "build/flags"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(strings.Split(string(list), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "-")
	}), nil
}

// Start starts the broker at a free port of the loopback interface and returns
// when it says that it is ready, if it is one that does.
func (p Peer) Start(ctx context.Context) (*Process, error) {
	proc, err := p.Launch(ctx)
	if err != nil {
		return nil, err
	}
	if err := proc.Ready(ctx); err != nil {
		return nil, errors.Join(err, proc.Stop())
	}
	return proc, nil
}

// Launch is Start without waiting.
func (p Peer) Launch(ctx context.Context) (*Process, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(p.Under, "bench-"+strings.ReplaceAll(p.Name, " ", "-"))
	if err != nil {
		return nil, err
	}
	proc, err := p.launch(ctx, addr, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return proc, nil
}

func (p Peer) launch(ctx context.Context, addr, dir string) (*Process, error) {
	var trust *tls.Config
	var err error
	if p.secure {
		if trust, err = certify(dir); err != nil {
			return nil, err
		}
	}
	argv, err := p.command(p.Path, addr, dir)
	if err != nil {
		return nil, err
	}
	proc, err := Command(ctx, p.Place, argv, dir, p.ready)
	if err != nil {
		return nil, err
	}
	proc.Addr, proc.TLS = addr, trust
	return proc, nil
}

// FreeAddr returns a host and port of the loopback interface at which nothing
// listens.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
