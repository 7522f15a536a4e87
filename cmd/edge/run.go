package main

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"edge/broker"
)

// runFlags are the flags of `edge run`; they win over the file.
type runFlags struct {
	file      string
	listen    []string
	cert, key string
	data      string
	anonymous bool
	user      string
	logLevel  string

	guard bool

	home string // where data is if nobody says so; fixed before the user changes
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the hub",
		Example: `  edge run -c /etc/edge/edge.yaml
  edge run --listen tcp://127.0.0.1:1883 --data /tmp/edge --allow-anonymous
                                           a bare broker, no file needed
  edge run --listen tls://:8883 --cert cert.pem --key key.pem --listen unix:///run/edge/mqtt.sock`,
		Long: `SIGTERM and SIGINT stop it within 2 s, a second one at once. SIGHUP is the same as
edge reload. When all listeners accept connections, it logs a line with "ready" and
tells systemd. Logs go to stderr: short lines on a terminal, JSON in a pipe, lines
with a priority in the journal.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runHub(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "", "configuration file; conf.d/*.yaml beside it is read too")
	fs.StringArrayVar(&f.listen, "listen", nil, "accept connections at tcp://HOST:PORT, tls://…, ws://…, wss://… or unix:///PATH instead of those in the file; may be repeated")
	fs.StringVar(&f.cert, "cert", "", "PEM file of the certificate for tls and wss")
	fs.StringVar(&f.key, "key", "", "PEM file of its key")
	fs.StringVar(&f.data, "data", "", "directory in which to keep what is kept")
	fs.BoolVar(&f.anonymous, "allow-anonymous", false, "let clients on this machine in that show no credentials")
	fs.StringVar(&f.user, "user", "", "user to become, if root starts the hub")
	fs.StringVar(&f.logLevel, "log-level", "", "debug, info, warn or error")
	fs.BoolVar(&f.guard, "guard", false, "have outputs guarded by edge guard, which is started if none is there")
	fs.SortFlags = false
	return cmd
}

func (a *app) runHub(ctx context.Context, f runFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	f.home = defaultDataDir()
	p, err := readPlan(f.file, f.override)
	if err != nil {
		return a.badFlags(f, err)
	}
	level := new(slog.LevelVar)
	setLevel(level, p.LogLevel)
	log := a.newLogger(level)
	// Libraries speak to the standard logger: that of the metrics says once that
	// /proc/self/io is closed to a process that cannot be dumped.
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer())
	rights := &privileges{log: log, user: p.User, lowPorts: p.LowPorts}
	rights.harden()
	n := &node{log: log, level: level, notify: notifier{log}, open: openBroker, rights: rights, ownGuard: f.guard}
	if f.file != "" {
		n.read = func() (*plan, error) { return readPlan(f.file, f.override) }
	}
	return n.run(ctx, p)
}

// check finds the file if none is named, and reports mistakes in the flags.
func (f *runFlags) check() error {
	if err := f.checkLevel(); err != nil {
		return err
	}
	if f.file == "" && len(f.listen) == 0 {
		f.file = findConfig()
	}
	if f.file == "" && len(f.listen) == 0 {
		return usageError{errors.New("nothing to do: name a configuration with -c, or an address with --listen (edge help config)")}
	}
	return nil
}

func (f *runFlags) checkLevel() error {
	levels := logLevel("").Values()
	if f.logLevel != "" && !slices.Contains(levels, f.logLevel) {
		return usageError{fmt.Errorf("--log-level %s: must be one of %s", f.logLevel, strings.Join(levels, ", "))}
	}
	return nil
}

// override puts the flags over the file.
func (f *runFlags) override(s *settings) {
	if len(f.listen) > 0 {
		s.Broker.Listeners = nil
		for _, u := range f.listen {
			s.Broker.Listeners = append(s.Broker.Listeners, f.listener(u))
		}
	}
	if f.anonymous {
		s.Broker.AllowAnonymous = true
	}
	if f.data != "" {
		s.Data = f.data
	} else if dir := env("EDGE_DATA"); dir != "" {
		s.Data = dir
	} else if s.Data == "" {
		s.Data = f.home
	}
	if f.user != "" {
		s.User = f.user
	}
	if f.guard {
		s.Guard.Enabled = true
	}
	if f.logLevel != "" {
		s.LogLevel = logLevel(f.logLevel)
	}
}

func (f *runFlags) listener(u string) broker.Listener {
	l := broker.Listener{URL: u}
	if strings.HasPrefix(u, "tls:") || strings.HasPrefix(u, "wss:") {
		l.Cert, l.Key = f.cert, f.key
	}
	return l
}

// badFlags makes mistakes of a configuration that came by flags alone mistakes
// of the command line.
func (a *app) badFlags(f runFlags, err error) error {
	if f.file == "" {
		return usageError{err}
	}
	return err
}

// warnShut says that a broker without listeners or users is open to nobody.
func warnShut(log *slog.Logger, cfg broker.Config, users bool) {
	switch {
	case len(cfg.Listeners) == 0:
		log.Warn("nobody can connect: there are no listeners; name some under broker")
	case !cfg.AllowAnonymous && !users:
		log.Warn("nobody can connect but by a unix socket or with a certificate: there are no users (edge user add), and allow_anonymous is off")
	}
}
