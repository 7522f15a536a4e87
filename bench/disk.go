package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// diskDir returns a directory for brokers that must keep what they acknowledge,
// and its file system. It is never one in memory, where nothing is kept and a
// flush costs nothing.
func diskDir() (dir, fs string, err error) {
	// Debian has /tmp in memory since 13, and /var/tmp never.
	tried := []string{os.TempDir(), "/var/tmp"}
	for _, dir := range tried {
		if fs, err := fileSystem(dir); err == nil && !inMemory[fs] {
			return dir, fs, nil
		}
	}
	return "", "", fmt.Errorf("no disk for the brokers at %s: set TMPDIR to a directory on one", strings.Join(tried, " or "))
}

var inMemory = map[string]bool{"tmpfs": true, "ramfs": true}

// fileSystems are the names of magic numbers in statfs(2).
var fileSystems = map[int64]string{
	unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs",
	unix.EXT4_SUPER_MAGIC: "ext4", unix.BTRFS_SUPER_MAGIC: "btrfs", unix.XFS_SUPER_MAGIC: "xfs",
	unix.F2FS_SUPER_MAGIC: "f2fs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs",
}

// fileSystem returns the name of the file system that dir is on, or its number.
func fileSystem(dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("ask for the file system of %s: %w", dir, err)
	}
	magic := int64(uint32(st.Type)) // 32 bits wide, with a sign, on some machines
	if name := fileSystems[magic]; name != "" {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", magic), nil
}

// flushTime returns the median time that the disk under dir takes to have 4 KiB
// safe.
func flushTime(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, "flush")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var took []float64
	for i := range 65 {
		if _, err := f.WriteAt(block, 0); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, fmt.Errorf("flush a file in %s: %w", dir, err)
		}
		if i > 0 { // The first one has the size of the file to write, too.
			took = append(took, float64(time.Since(began)))
		}
	}
	return time.Duration(median(took)), nil
}

// sectors of /sys/block/*/stat have 512 bytes, whatever the device's have.
const sector = 512

// written returns the bytes that were written to a block device.
func written(dev string) (int64, error) {
	file := filepath.Join("/sys/block", filepath.Base(dev), "stat")
	stat, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return parseStat(string(stat))
}

// parseStat reads the seventh number, sectors written, of a block device's stat.
func parseStat(stat string) (int64, error) {
	var field [7]int64
	into := make([]any, len(field))
	for i := range field {
		into[i] = &field[i]
	}
	if _, err := fmt.Sscan(stat, into...); err != nil {
		return 0, fmt.Errorf("statistics of a block device are %q: %w", stat, err)
	}
	return field[6] * sector, nil
}
