package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edge/internal/config"
	"edge/internal/wholefile"
)

// rulesFile is what imported rules are called in conf.d.
const rulesFile = "mosquitto.yaml"

// place returns the file for the rules, when it is certain that they can be there;
// empty if there are no rules.
func (m *mosquittoImport) place() (string, error) {
	if m.rules == nil {
		return "", nil
	}
	main, err := namedOrFound(m.hub.file)
	if err != nil {
		return "", err
	}
	file := filepath.Join(filepath.Dir(main), config.Folder, rulesFile)
	if _, err := os.Lstat(file); !m.replace && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("nothing changed; there is %s already; --replace puts the imported rules in its place", file)
	}
	tree, err := config.LoadWith(main, rulesFile, m.rules.YAML())
	if _, err := newPlan(main, tree, err, nil); err != nil {
		return "", coded(exitConfig, fmt.Errorf("nothing changed; with the imported rules the configuration has mistakes:\n%v", err)) //nolint:errorlint // Its text: a configError is printed without what is around it.
	}
	return file, nil
}

// writeRules writes the rules into file, for those who can read the configuration.
func (m *mosquittoImport) writeRules(file string) error {
	if m.rules == nil {
		return nil
	}
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // As /etc is.
		return fmt.Errorf("write rules: %w", err)
	}
	like, err := os.Stat(filepath.Dir(dir))
	if err != nil {
		return fmt.Errorf("write rules: %w", err)
	}
	return wholefile.Write(file, func(f *os.File) error {
		if _, err := f.Write(m.rules.YAML()); err != nil {
			return err
		}
		return share(f, like)
	})
}

// share lets those read f who can read the folder like, if root writes it.
func share(f *os.File, like os.FileInfo) error {
	if err := wholefile.Give(f, like); err != nil || os.Geteuid() != 0 {
		return err
	}
	return f.Chmod(like.Mode().Perm() & 0o644)
}
