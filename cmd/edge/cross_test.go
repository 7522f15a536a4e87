package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"edge/internal/sim"
)

// A target is a build of the program and how it is run here.
type target struct {
	name string
	run  []string
}

// targets is this tree's own program and, if EDGE_CROSS names the folder in which
// `make cross` has put them, those for other boards. The processor models are the
// smallest that each build is for: a Pi Zero, a Pi 2.
func targets(t *testing.T) []target {
	all := []target{{"native", []string{program(t)}}}
	dist := os.Getenv("EDGE_CROSS")
	if dist == "" {
		return all
	}
	file := func(arch string) string { return filepath.Join(dist, "edge-linux-"+arch) }
	return append(all,
		target{"amd64", []string{file("amd64")}},
		target{"arm64", []string{"qemu-aarch64-static", file("arm64")}},
		target{"armv7", []string{"qemu-arm-static", "-cpu", "cortex-a7", file("armv7")}},
		target{"armv6", []string{"qemu-arm-static", "-cpu", "arm1176", file("armv6")}},
	)
}

const stickConfig = `
broker:
  allow_anonymous: true
  listeners:
    - url: tcp://127.0.0.1:0
bridges:
  stick:
    serial:
      port: %s
      format: value
      entities:
        - id: level
          kind: number
          command: "level {{.Value}}\n"
`

// A program does its work on a stick, from MQTT to the line and back, and when the
// stick is unplugged and plugged in again.
func TestProgramWithStick(t *testing.T) {
	for _, target := range targets(t) {
		t.Run(target.name, func(t *testing.T) {
			dir := t.TempDir()
			link := filepath.Join(dir, "usb-stick")
			config := filepath.Join(dir, "edge.yaml")
			if err := os.WriteFile(config, fmt.Appendf(nil, stickConfig, link), 0o666); err != nil {
				t.Fatal(err)
			}
			stick := plug(t, link)
			url := startHub(t, append(target.run, "run", "-c", config, "--data", filepath.Join(dir, "data")))
			hub := dial(t, url)
			base := strings.TrimSuffix(hub.expect(t, "/stick/status", "online"), "/status")

			stick.say(t, "21.5")
			hub.expect(t, "/stick/level", "21.5")
			hub.publish(t, base+"/level/set", "42")
			stick.expect(t, "level 42")
			hub.expectJSON(t, "/stick/level/result", `"ok"`)

			stick.unplug(t)
			hub.expect(t, "/stick/status", "offline")
			stick = plug(t, link)
			hub.expect(t, "/stick/status", "online")
			stick.say(t, "22.5")
			hub.expect(t, "/stick/level", "22.5")
		})
	}
}

// A farEnd is a stick in the hands of a test.
type farEnd struct {
	*sim.PTY
	in *bufio.Reader
}

func plug(t *testing.T, link string) farEnd {
	t.Helper()
	pty, err := sim.NewPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pty.Close() })
	return farEnd{pty, bufio.NewReader(pty)}
}

func (s farEnd) unplug(t *testing.T) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s farEnd) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// expect reads the next line that comes from the program.
func (s farEnd) expect(t *testing.T, want string) {
	t.Helper()
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.in.ReadString('\n'); err != nil || got != want+"\n" {
		t.Fatalf("the stick was told %q, %v, want %q", got, err, want)
	}
}

// startHub starts a hub and returns the address of its listener when it is
// ready. When the test ends, the hub must end well.
func startHub(t *testing.T, args []string) string {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Fatalf("%v: make peers", err)
	}
	var log output
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr, cmd.WaitDelay = &log, patience
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("%v: %v", cmd, err)
		}
		late.Stop()
		if t.Failed() {
			t.Logf("the hub's log:\n%s", &log)
		}
	})
	ready := regexp.MustCompile(`(?m)^.*\bready\b.*tcp://(127\.0\.0\.1:\d+).*$`)
	if !log.wait(ready, patience) {
		t.Fatalf("%v is not ready after %v", cmd, patience)
	}
	return ready.FindStringSubmatch(log.String())[1]
}

// An observer is a client that has subscribed to all that a hub says.
type observer struct {
	client   *paho.Client
	messages chan *paho.Publish
}

func dial(t *testing.T, addr string) observer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	messages := make(chan *paho.Publish, 1000)
	client := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) { messages <- p.Packet; return true, nil },
	}})
	if _, err := client.Connect(ctx, &paho.Connect{ClientID: "observer", CleanStart: true, KeepAlive: 30}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(&paho.Disconnect{}) })
	if _, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "edge/#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	return observer{client, messages}
}

func (o observer) publish(t *testing.T, topic, payload string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := o.client.Publish(ctx, &paho.Publish{Topic: topic, Payload: []byte(payload), QoS: 1}); err != nil {
		t.Fatal(err)
	}
}

// expect waits for payload on a topic that ends in suffix, and returns the topic.
func (o observer) expect(t *testing.T, suffix, payload string) string {
	t.Helper()
	return o.await(t, suffix, payload, func(got string) bool { return got == payload })
}

// expectJSON waits for a payload that contains part.
func (o observer) expectJSON(t *testing.T, suffix, part string) {
	t.Helper()
	o.await(t, suffix, part, func(got string) bool { return strings.Contains(got, part) })
}

func (o observer) await(t *testing.T, suffix, want string, match func(string) bool) string {
	t.Helper()
	late := time.After(patience)
	var seen []string
	for {
		select {
		case m := <-o.messages:
			if strings.HasSuffix(m.Topic, suffix) && match(string(m.Payload)) {
				return m.Topic
			}
			seen = append(seen, m.Topic+" "+string(m.Payload))
		case <-late:
			t.Fatalf("no %q on …%s; what came was\n%s", want, suffix, strings.Join(seen, "\n"))
		}
	}
}
