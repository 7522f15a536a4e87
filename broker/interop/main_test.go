package interop

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// A broker says how to start a broker that listens at l.
type broker interface {
	// command returns the program and its arguments; dir is private, and empty but
	// for what a broker with the same dir has left there.
	command(dir string, l listeners) ([]string, error)

	// ready reports whether line of the log says that clients may connect.
	ready(line string) bool
}

// built is where the broker is built.
var built string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "edge")
	if code := m.Run(); code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// peer returns the broker under test. It is called within tests, so that the
// go command knows the variable and the folders that the result depends on.
var peer = sync.OnceValues(func() (broker, error) {
	name := os.Getenv("EDGE_INTEROP_PEER")
	switch {
	case name == "":
		return build(built)
	case name == "mosquitto":
		path, err := findMosquitto()
		return mosquitto{path}, err
	case strings.Contains(name, "/"):
		return edge{name}, nil
	}
	return nil, fmt.Errorf("EDGE_INTEROP_PEER is %q; want mosquitto or the path of a binary", name)
})

// edge is the path of a binary of edge.
type edge struct{ path string }

// build makes the binary for the architecture of the test itself: as it is shipped,
// without C, or with the race detector, which needs that.
func build(path string) (edge, error) {
	for _, sources := range []string{"../../cmd", "../../broker", "../../bridge", "../../internal"} {
		walk := func(string, fs.DirEntry, error) error { return nil }
		if err := filepath.WalkDir(sources, walk); err != nil { // the cache of test results learns that we read them
			return edge{}, err
		}
	}
	args, c := []string{"build", "-o", path}, "0"
	if race {
		args, c = append(args, "-race"), "1"
	} else {
		list, err := os.ReadFile("../../build/flags")
		if err != nil {
			return edge{}, err
		}
		args = append(args, slices.DeleteFunc(strings.Split(string(list), "\n"), func(line string) bool {
			return !strings.HasPrefix(line, "-")
		})...)
	}
	cmd := exec.Command("go", append(args, "edge/cmd/edge")...)
	cmd.Env = append(os.Environ(), "GOARCH="+runtime.GOARCH, "CGO_ENABLED="+c)
	if out, err := cmd.CombinedOutput(); err != nil {
		return edge{}, fmt.Errorf("build the broker: %w\n%s", err, out)
	}
	return edge{path}, nil
}

func (e edge) command(dir string, l listeners) ([]string, error) {
	args := []string{e.path, "run", "--data", filepath.Join(dir, "data")}
	if l.tls != "" {
		args = append(args, "--cert", l.cert, "--key", l.key)
	}
	if !strings.Contains(l.config, "listeners:") {
		for _, url := range l.urls() {
			args = append(args, "--listen", url)
		}
	}
	if l.config == "" {
		return append(args, "--allow-anonymous"), nil
	}
	file := filepath.Join(dir, "edge.yaml")
	return append(args, "-c", file), os.WriteFile(file, []byte(l.config), 0o600)
}

func (edge) ready(line string) bool { return strings.Contains(line, `"msg":"ready"`) } // "already" is not

// mosquitto is the path of Eclipse Mosquitto 2.0 or later.
type mosquitto struct{ path string }

func findMosquitto() (string, error) {
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/mosquitto") // where Debian has it, outside a user's PATH
}

func (m mosquitto) command(dir string, l listeners) ([]string, error) {
	conf := "allow_anonymous true\nmax_queued_messages 0\nsys_interval 1\nuser root\n" +
		"persistence true\npersistence_location " + dir + "/\n"
	add := func(address, options string) {
		host, port, _ := strings.Cut(address, ":")
		conf += fmt.Sprintf("listener %s %s\n%s", port, host, options)
	}
	if l.tcp != "" {
		add(l.tcp, "")
	}
	if l.tls != "" {
		add(l.tls, "certfile "+l.cert+"\nkeyfile "+l.key+"\n")
	}
	if l.ws != "" {
		add(l.ws, "protocol websockets\n")
	}
	if l.unix != "" {
		conf += "listener 0 " + l.unix + "\n"
	}
	path := filepath.Join(dir, "mosquitto.conf")
	return []string{m.path, "-c", path}, os.WriteFile(path, []byte(conf), 0o600)
}

func (mosquitto) ready(line string) bool { return strings.HasSuffix(line, " running") }

// stricter skips a test of something that edge promises and mosquitto does not,
// when it is mosquitto that is tested.
func stricter(t testing.TB, what string) {
	t.Helper()
	if isMosquitto(t) {
		t.Skip("mosquitto differs: " + what)
	}
}

func isMosquitto(t testing.TB) bool {
	t.Helper()
	b, err := peer()
	if err != nil {
		t.Fatal(err)
	}
	_, is := b.(mosquitto)
	return is
}
