// Package wholefile writes files that are there as a whole or not at all, whatever
// happens to the power meanwhile, and gives them to whose folder it is.
package wholefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Write has fill write a file that only its owner can read; fill may change who
// that is, and the mode. Under its name the file is there when all of it is on the
// disk, and so is its name. What was there before stays until then, and on an error.
func Write(name string, fill func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*") // Mode 0600.
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = fill(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return Sync(filepath.Dir(name))
}

// Sync makes safe what changed in a folder, or in a file.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Give makes the owner of like that of f, if root writes it: the hub may be somebody
// else, and must be able to read it and go on with it.
func Give(f *os.File, like os.FileInfo) error {
	owner, ok := like.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
