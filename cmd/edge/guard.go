package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"edge/bridge/gpio"
	"edge/internal/guard"
)

// guardName is what the guard's socket is called in a data directory.
const guardName = "guard.sock"

// guardFlags are the flags of `edge guard`.
type guardFlags struct {
	runFlags
	socket   string
	attached bool // started by edge run
}

func (a *app) guardCommand() *cobra.Command {
	var f guardFlags
	cmd := &cobra.Command{
		Use:   "guard",
		Short: "Make outputs safe when the hub dies or hangs",
		Example: `  edge guard -c /etc/edge/edge.yaml
  edge run -c edge.yaml --guard            the hub starts a guard of its own`,
		Long: `It holds the outputs of the hub's GPIO bridges together with the hub (guard.enabled).
When the hub has ended without goodbye, or has given no sign of life for guard.patience,
it drives each to its safe level ("safe:" of the pin). Before the hub comes, it holds them
at that level. A hub that is back gets them as they are, without a glitch.

A configuration that cannot be read is no reason not to guard: then it waits for the hub,
which tells what to do. SIGTERM has it give the lines back.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runGuard(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "", "configuration file of the hub; conf.d/*.yaml beside it is read too")
	fs.StringVar(&f.data, "data", "", "data directory of the hub")
	fs.StringVar(&f.socket, "socket", "", "where to listen instead of at guard.socket")
	fs.StringVar(&f.user, "user", "", "user that the hub becomes, if root starts it")
	fs.StringVar(&f.logLevel, "log-level", "", "debug, info, warn or error")
	fs.BoolVar(&f.attached, "attached", false, "end when the hub has said goodbye")
	_ = fs.MarkHidden("attached") // It is there.
	fs.SortFlags = false
	return cmd
}

func (a *app) runGuard(ctx context.Context, f guardFlags) error {
	if err := f.checkLevel(); err != nil {
		return err
	}
	f.home = defaultDataDir()
	if f.file == "" && !f.attached {
		f.file = findConfig()
	}
	p, unread := readPlan(f.file, f.override)
	level := new(slog.LevelVar)
	setLevel(level, p.LogLevel)
	log := a.newLogger(level)
	rights := &privileges{log: log, user: p.User}
	rights.harden()
	shrink(log)
	cfg := f.config(p, log)
	if unread != nil {
		log.Error("the configuration cannot be read; the guard waits for the hub", "err", unread)
	}
	n := notifier{log}
	l, pets, err := rights.takeGuardPost(cfg, n)
	if err != nil {
		return err
	}
	defer l.Close()
	defer pets.close()
	s := &guard.Server{Config: cfg, Log: log, Once: f.attached, Alive: pets.pet}
	switch {
	case unread != nil:
	case !cfg.Enabled && !f.attached:
		log.Warn("guard.enabled is off: a hub with this configuration does not come, and no line is held for it")
	default:
		s.Acquire = func(own guard.Own) error { return secure(p, own) }
	}
	log.Info("the guard waits for the hub", "socket", cfg.Socket)
	n.ready("waiting for the hub at " + cfg.Socket)
	if f.attached {
		fmt.Fprintln(a.out, guardReady)
	}
	err = s.Serve(ctx, l)
	n.stopping()
	log.Info("the guard has ended")
	return err
}

// config is the guard's section. One that is wrong is as if it were absent.
func (f *guardFlags) config(p *plan, log *slog.Logger) guard.Config {
	cfg := p.Guard
	if err := cfg.Validate(); err != nil {
		cfg = guard.DefaultConfig()
		cfg.Socket = filepath.Join(p.Data, guardName)
		log.Error("the guard works with its defaults", "err", err)
	}
	if f.socket != "" {
		cfg.Socket = f.socket
	}
	return cfg
}

// takeGuardPost opens what a guard needs rights for, and gives them up.
func (p *privileges) takeGuardPost(cfg guard.Config, n notifier) (*guard.Listener, *pets, error) {
	hub, err := hubAccount(p.user)
	if err != nil {
		return nil, nil, err
	}
	l, err := listenForHub(cfg.Socket, hub)
	if err != nil {
		return nil, nil, err
	}
	fed := newPets(cfg, n, p.log)
	if err := p.drop(hub); err != nil {
		fed.close()
		return nil, nil, errors.Join(err, l.Close())
	}
	return l, fed, nil
}

// hubAccount is that of a hub that becomes user, nil if it stays who it is.
func hubAccount(user string) (*account, error) {
	if user == "" {
		return nil, nil
	}
	return findAccount(user)
}

// listenForHub makes the socket for a hub that becomes hub.
func listenForHub(socket string, hub *account) (*guard.Listener, error) {
	owner := os.Geteuid()
	if hub != nil {
		owner = hub.uid
	}
	if err := makePlace(filepath.Dir(socket), owner); err != nil {
		return nil, fmt.Errorf("make a place for the guard's socket: %w", err)
	}
	return guard.Listen(socket, owner)
}

// makePlace makes a directory of owner's, if there is none. What is there stays whose it is.
func makePlace(dir string, owner int) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case err != nil || os.Geteuid() != 0:
		return err
	}
	return os.Lchown(dir, owner, -1)
}

// secure takes the outputs of all bridges at their safe levels.
func secure(p *plan, own guard.Own) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.bridges)) {
		if cfg, ok := p.bridges[name].config.(gpio.Config); ok {
			if err := cfg.Secure(gpio.Open, own); err != nil {
				errs = append(errs, fmt.Errorf("bridge %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// pets are those who must hear that the guard lives: systemd and the hardware.
type pets struct {
	log      *slog.Logger
	notify   notifier
	interval time.Duration // of systemd; zero: it does not ask
	next     time.Time
	watchdog *guard.Watchdog // nil: there is none
	failed   bool
}

func newPets(cfg guard.Config, n notifier, log *slog.Logger) *pets {
	p := &pets{log: log, notify: n, interval: n.interval()}
	if cfg.Watchdog == "" {
		return p
	}
	w, err := guard.OpenWatchdog(cfg.Watchdog, cfg.WatchdogTimeout)
	if err != nil {
		log.Error("there is no hardware watchdog behind the guard", "err", err)
		return p
	}
	log.Info("the hardware watchdog runs", "device", cfg.Watchdog, "timeout", w.Timeout())
	p.watchdog = w
	return p
}

// pet is called all the time by who must be alive.
func (p *pets) pet() {
	now := time.Now()
	if p.interval > 0 && !now.Before(p.next) {
		p.next = now.Add(p.interval / 4)
		p.notify.alive()
	}
	if p.watchdog == nil {
		return
	}
	err := p.watchdog.Pet(now)
	if err != nil && !p.failed {
		p.log.Error("the hardware watchdog does not hear; it will reset the board", "err", err)
	}
	p.failed = err != nil
}

func (p *pets) close() {
	if p.watchdog == nil {
		return
	}
	if err := p.watchdog.Close(); err != nil {
		p.log.Error("the hardware watchdog is not stopped", "err", err)
	}
}
