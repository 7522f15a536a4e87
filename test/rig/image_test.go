//go:build linux

package rig

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"edge/test/rig/agent"
	"edge/test/rig/initramfs"
	"edge/test/rig/qemu"
)

// mqttPort is edge's in the guest.
const mqttPort = 1883

// An image is what machines start from.
type image struct {
	qemu.Config
	snapshot string
}

// theImage makes the initramfs and the snapshot, if they are not in the cache for
// this kernel, guest and QEMU. They do not depend on edge.
var theImage = sync.OnceValues(func() (img image, err error) {
	kernel := os.Getenv("RIG_KERNEL")
	img.Kernel = filepath.Join(kernel, "vmlinuz")
	img.Ports = []int{agent.Port, mqttPort}
	version, err := exec.Command(qemu.Program, "--version").Output()
	if err != nil {
		return img, err
	}
	guest, err := build("./test/rig/guest")
	if err != nil {
		return img, err
	}
	root, err := rootFS(kernel, guest, nil)
	if err != nil {
		return img, err
	}
	sum := sha256.Sum256(fmt.Append(root, filepath.Base(kernel), string(version), snapshotFormat))
	img.snapshot = filepath.Join(filepath.Dir(kernel), fmt.Sprintf("snapshot-%x", sum[:6]))
	img.Initrd = filepath.Join(img.snapshot, "initrd")
	if _, err := os.Stat(img.snapshot); err == nil {
		return img, nil
	}
	return img, img.make(root)
})

// snapshotFormat is to be changed with the arguments of QEMU: a snapshot is only
// good for the machine that it was taken of.
const snapshotFormat = 2

// make boots a machine, and takes the snapshot when it is ready. The folder is there
// whole or not at all.
func (img image) make(root []byte) error {
	old, err := filepath.Glob(filepath.Join(filepath.Dir(img.snapshot), "snapshot-*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		os.RemoveAll(dir)
	}
	dir, err := os.MkdirTemp(filepath.Dir(img.snapshot), "snapshot-")
	if err != nil {
		return err
	}
	cfg := img.Config
	cfg.Initrd, cfg.Dir = filepath.Join(dir, "initrd"), dir
	if err := os.WriteFile(cfg.Initrd, root, 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	m, err := qemu.Start(ctx, cfg)
	if err != nil {
		return err
	}
	defer m.Kill()
	if err := m.AwaitLine(ctx, "rig: ready"); err != nil {
		return err
	}
	if err := m.Save(ctx, filepath.Join(dir, "memory")); err != nil {
		return err
	}
	return os.Rename(dir, img.snapshot)
}

// rootFS is what the guest's kernel begins with. edge may be nil: it is put there later.
func rootFS(kernel, guest string, edge []byte) ([]byte, error) {
	var root strings.Builder
	w := initramfs.NewWriter(&root)
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "etc"} {
		w.Dir(dir)
	}
	w.Device("dev/console", 5, 1)
	files, err := filepath.Glob(filepath.Join(kernel, "*.ko"))
	if err != nil {
		return nil, err
	}
	for _, f := range append(files, filepath.Join(kernel, "order")) {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		w.File("modules/"+filepath.Base(f), data)
	}
	init, err := os.ReadFile(guest)
	if err != nil {
		return nil, err
	}
	w.File("init", init)
	if edge != nil {
		w.File("edge", edge)
	}
	return []byte(root.String()), w.Close()
}

// root is that of the repository.
const root = "../.."

// bin is where programs are built; TestMain removes it.
var bin = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "edge-rig-") })

// build builds a program for the guest, as for a board, and returns its path.
func build(pkg string) (string, error) {
	list, err := os.ReadFile(filepath.Join(root, "build/flags"))
	if err != nil {
		return "", err
	}
	flags := strings.Split(string(list), "\n")
	flags = slices.DeleteFunc(flags, func(line string) bool { return !strings.HasPrefix(line, "-") })
	return compile("build", pkg, flags...)
}

// buildTests builds the tests of a package for the guest.
func buildTests(pkg string) (string, error) { return compile("test", pkg, "-c", "-ldflags", "-s -w") }

func compile(verb, pkg string, flags ...string) (string, error) {
	dir, err := bin()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, verb+"-"+filepath.Base(pkg))
	cmd := exec.Command("go", append(append([]string{verb, "-o", path}, flags...), pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return path, nil
}

// edgeProgram is edge for the guest.
var edgeProgram = sync.OnceValues(func() ([]byte, error) {
	path, err := build("./cmd/edge")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})
