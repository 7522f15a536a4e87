package pwm

import (
	"os"
	"path/filepath"
	"strings"
)

// Sysfs returns the tree at root, /sys/class/pwm on every machine.
func Sysfs(root string) Tree { return sysfs(root) }

// Root is where the kernel has the tree.
const Root = "/sys/class/pwm"

type sysfs string

func (s sysfs) Chips() ([]string, error) {
	entries, err := os.ReadDir(string(s))
	var chips []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "pwmchip") {
			chips = append(chips, e.Name())
		}
	}
	return chips, err
}

func (s sysfs) Device(chip string) (string, error) {
	device, err := filepath.EvalSymlinks(filepath.Join(string(s), chip, "device"))
	return filepath.Base(device), err
}

func (s sysfs) Read(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join(string(s), path))
	return strings.TrimSpace(string(b)), err
}

// Write opens the file without making it: what is not there was not exported.
func (s sysfs) Write(path, value string) error {
	f, err := os.OpenFile(filepath.Join(string(s), path), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
