package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"edge/broker"
)

// A place is which data directory a command is about.
type place struct{ file, data string }

func (p *place) flags(fs *pflag.FlagSet) {
	fs.StringVarP(&p.file, "config", "c", "", "the hub's configuration, which says where its data is")
	fs.StringVar(&p.data, "data", "", "the hub's data directory")
}

func (p *place) dir() string { return dataOf(p.file, p.data) }

// config is the file of the configuration; empty if there is none.
func (p *place) config() string {
	if p.file == "" {
		return findConfig()
	}
	return p.file
}

// storeDir is where a data directory has the journal.
func storeDir(data string) string { return filepath.Join(data, "journal") }

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Look into the store of a hub that is stopped",
		Example: `  edge store check                         is anything damaged?
  edge store stat --data /var/lib/edge     what is in it, and how long the card lasts
  edge store export store.jsonl            everything, as lines of JSON`,
		Long: `The store is the journal in the hub's data directory. These commands read it and
change nothing; while the hub runs they decline. What a running hub counts is at
$SYS/broker/journal and /metrics, and edge backup makes a copy of its store.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.storeCheckCommand(), a.storeStatCommand(), a.storeExportCommand())
	return cmd
}

// readStore calls use with the store in a data directory, whose hub cannot start
// meanwhile.
func readStore(data string, use func(*broker.Store) error) error {
	lock, err := borrowDataDir(data)
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := broker.ReadStore(storeDir(data))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store in %s; name the hub's data directory with --data", data)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	return use(s)
}

// borrowDataDir keeps a hub from starting in the data directory, and changes
// nothing in it. Nobody has ever run there if there is no lock.
func borrowDataDir(path string) (*os.File, error) {
	name := filepath.Join(path, lockName)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = os.Open(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no data directory %s; name the hub's own with --data", path)
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w; try it as the user that runs the hub", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the hub is running (%s) and has the store in %s; stop it first, or read a copy: edge backup, edge restore", holder(name), path)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", path, err)
	}
	return f, nil
}
