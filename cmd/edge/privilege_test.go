package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user that every machine has.
const nobody = 65534

func rootOnly(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
}

// A started is a hub that runs.
type started struct {
	t    *testing.T
	log  output
	cmd  *exec.Cmd
	data string
}

// startAs starts a hub as the user uid, under a wrapper if there is one, and waits
// until it is ready.
func startAs(t *testing.T, uid uint32, args ...string) *started {
	t.Helper()
	h := &started{t: t, cmd: exec.Command(args[0], args[1:]...), data: args[len(args)-1]}
	h.cmd.Stderr, h.cmd.WaitDelay = &h.log, patience
	if int(uid) != os.Geteuid() {
		h.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*patience, func() { _ = h.cmd.Process.Kill() })
	t.Cleanup(func() {
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
		if err := h.cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("%v: %v\n%s", h.cmd, err, &h.log)
		}
		late.Stop()
	})
	if !h.log.wait(regexp.MustCompile(`"msg":"ready"|edge: `), patience) || strings.Contains(h.log.String(), "edge: ") {
		t.Fatalf("%v is not ready", h.cmd)
	}
	return h
}

// status returns what the kernel says of each thread of the hub.
func (h *started) status() (threads []map[string]string) {
	h.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", h.cmd.Process.Pid))
	if err != nil || len(files) < 3 {
		h.t.Fatalf("threads of the hub: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // The thread has ended.
		}
		fields := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			fields[name] = strings.Join(strings.Fields(value), " ")
		}
		threads = append(threads, fields)
	}
	return threads
}

// openDir is a temporary directory that everybody can look into, as are all others
// of the test from then on.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir
}

const (
	noCapability = "0000000000000000"
	lowPortsOnly = "0000000000000400" // CAP_NET_BIND_SERVICE is 10.
	bare         = "run --allow-anonymous --listen tcp://127.0.0.1:0 --data"
)

// TestPrivileges looks at a hub from outside: whoever starts it, no thread may do
// more than serve.
func TestPrivileges(t *testing.T) {
	rootOnly(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	lowPorts := filepath.Join(openDir(t), "edge.yaml")
	edge := program(t)
	write(t, lowPorts, "low_ports: true\nuser: nobody\nbroker: {listeners: [{url: 'tcp://127.0.0.1:0'}]}\n")
	for _, tt := range []struct {
		name      string
		starts    uint32
		args      string
		uid       int
		caps, log string
	}{
		{"root", 0, bare, 0, noCapability, "runs as root, which it need not: make a user"},
		{"root that is meant to be", 0, "run --user root --listen tcp://127.0.0.1:0 --data", 0, noCapability, ""},
		{"root and a user", 0, "run --user nobody --listen tcp://127.0.0.1:0 --data", nobody, noCapability, ""},
		{"a user that has no name", 0, "run --user 4711 --listen tcp://127.0.0.1:0 --data", 4711, noCapability, ""},
		{"low ports", 0, "run -c " + lowPorts + " --data", nobody, lowPortsOnly, ""},
		{"a user", nobody, bare, nobody, noCapability, ""},
		{"a user, who is named", nobody, bare[:3] + " --user nobody" + bare[3:], nobody, noCapability, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := filepath.Join(openDir(t), "data")
			if err := os.Mkdir(data, 0o755); err != nil || os.Chown(data, int(tt.starts), int(tt.starts)) != nil {
				t.Fatal(err)
			}
			h := startAs(t, tt.starts, append([]string{edge}, append(strings.Fields(tt.args), data)...)...)
			h.is(tt.uid, tt.caps, tt.starts == 0)
			for _, said := range []string{"runs as root", "runs with privileges", "will not find"} {
				if want := tt.log != "" && strings.HasPrefix(tt.log, said); strings.Contains(h.log.String(), said) != want || !strings.Contains(h.log.String(), tt.log) {
					t.Errorf("%q in the log: %t, want %t", said, !want, want)
				}
			}
		})
	}
}

// is checks what the hub is and may do. bounded is one who could empty the bounding
// set.
func (h *started) is(uid int, caps string, bounded bool) {
	h.t.Helper()
	id := strings.TrimSpace(strings.Repeat(strconv.Itoa(uid)+" ", 4)) // real, effective, saved, of the file system
	want := map[string]string{
		"Uid": id, "Gid": id, "Umask": "0077", "NoNewPrivs": "1",
		"CapEff": caps, "CapPrm": caps, "CapInh": noCapability, "CapAmb": noCapability,
	}
	if bounded {
		want["CapBnd"] = noCapability
		if uid != 0 {
			want["Groups"] = strconv.Itoa(uid)
		}
	}
	for _, thread := range h.status() {
		for field, want := range want {
			if got := thread[field]; got != want {
				h.t.Errorf("%s of a thread is %q, want %q", field, got, want)
			}
		}
	}
	proc := fmt.Sprintf("/proc/%d/", h.cmd.Process.Pid)
	if st, err := os.Stat(proc + "environ"); err != nil || st.Sys().(*syscall.Stat_t).Uid != 0 { // proc(5): root's if not dumpable
		h.t.Errorf("the memory of the hub can be dumped: %v", err)
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil || !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		h.t.Errorf("core files have no limit: %s, %v", limits, err)
	}
}

// A hub opens ports below 1024 when root starts it, and at a reload only if it was
// told to keep the right to.
func TestLowPorts(t *testing.T) {
	rootOnly(t)
	if start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || strings.TrimSpace(string(start)) != "1024" {
		t.Skipf("ports below 1024 are nothing special here: %q, %v", start, err)
	}
	t.Setenv("RUNTIME_DIRECTORY", "")
	edge := program(t)
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("kept ", keep), func(t *testing.T) {
			dir := openDir(t)
			file, data := filepath.Join(dir, "edge.yaml"), filepath.Join(dir, "data")
			configure := func(ports ...string) {
				text := fmt.Sprintf("user: nobody\nlow_ports: %t\nbroker:\n  listeners:\n", keep)
				for _, port := range ports {
					text += "    - url: tcp://127.0.0.1:" + port + "\n"
				}
				write(t, file, text)
			}
			ports := twoLowPorts(t)
			configure(ports[0])
			startAs(t, 0, edge, "run", "-c", file, "--data", data)
			configure(ports...)
			out, err := exec.Command(edge, "reload", "--data", data).CombinedOutput()
			if (err == nil) != keep || !keep && !strings.Contains(string(out), "keeps it with `low_ports: true`") {
				t.Errorf("reload: %v\n%s", err, out)
			}
		})
	}
}

// A port below 1024 that is held until there is a user opens when he comes, and the
// right to it goes then.
func TestLowPortWaitsForAUser(t *testing.T) {
	rootOnly(t)
	t.Setenv("RUNTIME_DIRECTORY", "")
	dir := openDir(t)
	edge, data := program(t), filepath.Join(dir, "data")
	url := "tcp://0.0.0.0:" + twoLowPorts(t)[0]
	h := startAs(t, 0, edge, "run", "--user", "nobody", "--listen", url, "--data", data)
	h.is(nobody, lowPortsOnly, true)
	if out, err := exec.Command(edge, "user", "add", "anna", "--generate", "--data", data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !h.log.wait(regexp.MustCompile(`"users read"`), patience) || strings.Contains(h.log.String(), "listeners stay as they are") {
		t.Errorf("%s does not open", url)
	}
	h.is(nobody, noCapability, true)
}

// twoLowPorts returns ports below 1024 of 127.0.0.1 that nobody listens at.
func twoLowPorts(t *testing.T) (ports []string) {
	t.Helper()
	for port := 600 + os.Getpid()%200; port < 1024 && len(ports) < 2; port++ {
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = l.Close()
			ports = append(ports, strconv.Itoa(port))
		}
	}
	if len(ports) < 2 {
		t.Fatal("no free ports below 1024")
	}
	return ports
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
