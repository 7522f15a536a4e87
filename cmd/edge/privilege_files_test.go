package main_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// inRAM is a temporary directory in RAM, as systemd gives to a service.
func inRAM(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "edge-")
	if err != nil {
		t.Skip("there is no memory that is a file system:", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

const filesConfig = `
access: {users: {anna: {roles: [admin]}}}
broker:
  listeners:
    - {url: "unix://%s"}
    - {url: "tls://127.0.0.1:0"}
`

// Everything that a hub keeps can be read by its user alone, however careless who
// starts it is: users, store, keys, marks of logins, backups, and what was restored.
func TestFilesAreTheHubsAlone(t *testing.T) {
	self := os.Geteuid()
	for uid, flags := range map[int]string{self: "", nobody: "--user nobody"} {
		t.Run("run "+flags, func(t *testing.T) {
			if uid != self {
				rootOnly(t)
			}
			dir, ram := openDir(t), inRAM(t)
			edge, file, data, socket := program(t), filepath.Join(dir, "edge.yaml"), filepath.Join(dir, "data"), filepath.Join(ram, "mqtt.sock")
			write(t, file, fmt.Sprintf(filesConfig, socket))
			t.Setenv("RUNTIME_DIRECTORY", ram)
			password := careless(t, edge, "user", "add", "anna", "--generate", "--data", data)
			write(t, filepath.Join(dir, "password"), password)
			startAs(t, uint32(self), "sh", "-c", `umask 0; exec "$0" run `+flags+` -c "$1" --data "$2"`, edge, file, data)
			careless(t, edge, "pub", "--unix", socket, "-u", "anna", "--password-file", filepath.Join(dir, "password"), "-r", "-q", "1", "-t", "a", "-m", "kept")
			careless(t, edge, "user", "add", "bert", "--generate", "--data", data)
			mustHave(t, lookAt(t, data, uid), "users", "journal/segment-", "tls/ca.key", "tls/server.pem", "control.sock")
			mustHave(t, lookAt(t, filepath.Join(ram, "logins"), uid), "")

			ours := t.TempDir()
			careless(t, edge, "backup", filepath.Join(ours, "backup"), "-c", file, "--data", data)
			careless(t, edge, "restore", filepath.Join(ours, "backup"), "--data", filepath.Join(ours, "restored"))
			if err := os.Chmod(ours, 0o700); err != nil {
				t.Fatal(err)
			}
			mustHave(t, lookAt(t, ours, self), "backup", "restored/journal/segment-")
			if st, err := os.Stat(socket); err != nil || st.Mode() != fs.ModeSocket|0o660 {
				t.Errorf("the socket for clients of the group: %v, %v", st, err)
			}
		})
	}
}

// careless runs a command of edge with umask 0 and returns what it printed.
func careless(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `umask 0; exec "$@"`, "sh"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	return strings.TrimSpace(string(out))
}

// lookAt reports what in dir is not the user's alone, and lists all of it.
func lookAt(t *testing.T, dir string, uid int) (found []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if owner := st.Sys().(*syscall.Stat_t).Uid; st.Mode().Perm()&0o077 != 0 || int(owner) != uid {
			t.Errorf("%s has mode %v, and is user %d's", path, st.Mode(), owner)
		}
		name, err := filepath.Rel(dir, path)
		found = append(found, name)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// mustHave checks that a name begins with each of starts: what was not there was not
// looked at.
func mustHave(t *testing.T, names []string, starts ...string) {
	t.Helper()
	for _, start := range starts {
		if !slices.ContainsFunc(names, func(s string) bool { return strings.HasPrefix(s, start) }) {
			t.Errorf("there is no %s… among %v", start, names)
		}
	}
}

// A hub that was root's becomes a user's: what it has kept is the user's then.
func TestRootHandsOver(t *testing.T) {
	rootOnly(t)
	dir, ram := openDir(t), inRAM(t)
	t.Setenv("RUNTIME_DIRECTORY", ram)
	edge, file, data := program(t), filepath.Join(dir, "edge.yaml"), filepath.Join(dir, "data")
	write(t, file, fmt.Sprintf(filesConfig, filepath.Join(ram, "mqtt.sock")))
	t.Run("root", func(t *testing.T) { startAs(t, 0, edge, "run", "-c", file, "--data", data) })
	mustHave(t, lookAt(t, data, 0), "journal/segment-")
	write(t, filepath.Join(dir, "edge.yaml"), "user: nobody\n"+fmt.Sprintf(filesConfig, filepath.Join(ram, "mqtt.sock")))
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	h := startAs(t, 0, edge, "run", "-c", file, "--data", data)
	mustHave(t, lookAt(t, data, nobody), "journal/segment-", "tls/ca.key")
	if !strings.Contains(h.log.String(), "a reload will not find the configuration") {
		t.Error("nothing is said about a configuration that only root can read")
	}
}

// What a hub cannot do as the user that it becomes, it says at its start.
func TestPrivilegesAreMissed(t *testing.T) {
	rootOnly(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	dir := openDir(t)
	edge, theirs, key := program(t), filepath.Join(dir, "theirs"), filepath.Join(dir, "key.pem")
	if err := errors.Join(os.Mkdir(theirs, 0o700), os.Chown(theirs, nobody, nobody), os.WriteFile(key, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		starts     uint32
		data, args string
		want       string
	}{
		{0, "a", "--user no-such-user", "there is no user no-such-user on this machine: make one"},
		{nobody, "theirs", "--user daemon", "become user daemon: only root can"},
		{0, "theirs", "", "belongs to user nobody: run the hub as that user, with --user nobody"},
		{0, "theirs", "--user daemon", "belongs to user nobody; chown -R it"},
		{0, "b", "--user nobody --listen tls://127.0.0.1:0 --cert " + key + " --key " + key, "key.pem: permission denied; the hub is user nobody, who must have access"},
		{nobody, "theirs", "--listen tcp://127.0.0.1:" + twoLowPorts(t)[0], "permission denied; a hub has the right to ports below 1024 when root starts it"},
	} {
		args := append([]string{"run", "--listen", "tcp://127.0.0.1:0", "--data", filepath.Join(dir, tt.data)}, strings.Fields(tt.args)...)
		cmd := exec.Command(edge, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tt.starts, Gid: tt.starts}}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), tt.want) {
			t.Errorf("edge %v, by user %d: %v, want %q in\n%s", args, tt.starts, err, tt.want, out)
		}
	}
}
