package interop

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// eachMosquitto runs f for each version of MQTT that the clients of mosquitto
// speak, with the flags for it.
func eachMosquitto(t *testing.T, f func(t *testing.T, m mosquittoClients)) {
	t.Helper()
	t.Parallel()
	program(t, "mosquitto_pub")
	program(t, "mosquitto_sub")
	s := start(t)
	for v, name := range map[version]string{v31: "mqttv31", v311: "mqttv311", v5: "mqttv5"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, mosquittoClients{s, v, args(at(t, s.tcp), []string{"-V", name})})
		})
	}
}

// mosquittoClients are mosquitto_pub and mosquitto_sub of one version.
type mosquittoClients struct {
	*server
	v     version
	flags []string
}

// pub runs mosquitto_pub with flags and a payload from standard input.
func (m mosquittoClients) pub(t testing.TB, flags, payload string) {
	t.Helper()
	execute(t, payload, "mosquitto_pub", args(m.flags, words(flags), []string{"-s"})...)
}

// sub starts mosquitto_sub and waits until it has subscribed. Lines of messages
// begin with "> ": topic, QoS, retain, payload.
func (m mosquittoClients) sub(t testing.TB, flags string) *running {
	t.Helper()
	return m.subscribed(t, "%q %r %p", args(m.flags, words(flags))...)
}

func TestMosquittoQoS(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquittoClients) {
		for published := range 3 {
			for granted := range 3 {
				topic := fmt.Sprintf("qos/%v/%d/%d", m.v, published, granted)
				sub := m.sub(t, fmt.Sprintf("-t %s -q %d", topic, granted))
				for _, payload := range []string{"first", "second"} {
					m.pub(t, fmt.Sprintf("-t %s -q %d", topic, published), payload)
					want := fmt.Sprintf("%s %d 0 %s", topic, min(published, granted), payload)
					if got := sub.line("> "); got != want {
						t.Errorf("mosquitto_sub wrote %q, want %q", got, want)
					}
				}
			}
		}
	})
}

func TestMosquittoRetained(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquittoClients) {
		topic := "kept/" + m.v.String()
		m.pub(t, "-r -q 1 -t "+topic, "kept")
		watcher := m.sub(t, "-q 1 -t "+topic)
		if got, want := watcher.line("> "), topic+" 1 1 kept"; got != want {
			t.Errorf("mosquitto_sub wrote %q, want %q", got, want)
		}
		remover := launchClient(t, "mosquitto_sub", args(m.flags, words("--remove-retained -t "+topic))...)
		if got, want := watcher.line("> "), topic+" 1 0 "; got != want {
			t.Errorf("mosquitto_sub wrote %q, want the empty message that removes", got)
		}
		remover.kill()
		sub := m.sub(t, "-t "+topic)
		m.pub(t, "-q 1 -t "+topic, "after")
		if got, want := sub.line("> "), topic+" 0 0 after"; got != want {
			t.Errorf("mosquitto_sub wrote %q after the retained message was removed, want %q", got, want)
		}
	})
}

func TestMosquittoWill(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquittoClients) {
		topic := "will/" + m.v.String()
		watcher := m.sub(t, "-q 2 -t "+topic)
		mortal := m.sub(t, "-t unused --will-topic "+topic+" --will-payload gone --will-qos 2 --will-retain")
		mortal.kill()
		if got, want := watcher.line("> "), topic+" 2 0 gone"; got != want {
			t.Errorf("mosquitto_sub wrote %q, want %q", got, want)
		}
		if got, want := m.sub(t, "-t "+topic).line("> "), topic+" 0 1 gone"; got != want {
			t.Errorf("mosquitto_sub wrote %q, want the retained will %q", got, want)
		}
	})
}

// TestMosquittoSession leaves a subscriber, queues a thousand messages for it
// and lets it come back.
func TestMosquittoSession(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquittoClients) {
		topic := "queue/" + m.v.String()
		flags := fmt.Sprintf("-i sleeper%d -c -q 1 -t %s", m.v, topic)
		if m.v == v5 {
			flags += " -x 3600"
		}
		execute(t, "", "mosquitto_sub", args(m.flags, words(flags+" -E"))...)
		const count = 1000
		var lines strings.Builder
		for i := range count {
			fmt.Fprintln(&lines, i)
		}
		execute(t, lines.String(), "mosquitto_pub", args(m.flags, words("-l -q 1 -t "+topic))...)
		out := execute(t, "", "mosquitto_sub", args(m.flags, words(fmt.Sprint(flags, " -C ", count)))...)
		if out != lines.String() {
			t.Errorf("mosquitto_sub wrote %d bytes %.60q…, want %d bytes: the numbers below %d in order", len(out), out, lines.Len(), count)
		}
	})
}

func TestMosquittoTakeover(t *testing.T) {
	eachMosquitto(t, func(t *testing.T, m mosquittoClients) {
		topic := "takeover/" + m.v.String()
		first := m.sub(t, fmt.Sprintf("-i seat%d -q 1 -t %s/first", m.v, topic))
		if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil { // or it would connect again and take over in its turn
			t.Fatal(err)
		}
		second := m.sub(t, fmt.Sprintf("-i seat%d -q 1 -t %s/second", m.v, topic))
		m.pub(t, "-q 1 -t "+topic+"/second", "yours")
		if got, want := second.line("> "), topic+"/second 1 0 yours"; got != want {
			t.Errorf("mosquitto_sub wrote %q, want %q", got, want)
		}
	})
}

func TestMosquittoTLS(t *testing.T) {
	t.Parallel()
	program(t, "mosquitto_pub")
	s := startWith(t, listenTLS(t))
	tls := args(at(t, s.tls), []string{"--cafile", s.cert})
	sub := s.subscribed(t, "%p", args(tls, words("-t safe -q 1"))...)
	execute(t, "", "mosquitto_pub", args(tls, words("-t safe -m secret -q 1"))...)
	if got := sub.line("> "); got != "safe secret" {
		t.Errorf("mosquitto_sub wrote %q, want safe secret", got)
	}
	s.serves(t) // TCP beside TLS
}

func TestMosquittoUnix(t *testing.T) {
	t.Parallel()
	path := program(t, "mosquitto_sub")
	if help, _ := exec.Command(path, "--help").Output(); !strings.Contains(string(help), "--unix") { // since 2.0
		t.Skip("this mosquitto_sub has no --unix")
	}
	s := startWith(t, func(l *listeners) { l.unix = socketPath(t) })
	sub := s.subscribed(t, "%p", "--unix", s.unix, "-t", "near", "-q", "1")
	execute(t, "", "mosquitto_pub", "--unix", s.unix, "-t", "near", "-m", "by", "-q", "1")
	if got := sub.line("> "); got != "near by" {
		t.Errorf("mosquitto_sub wrote %q, want near by", got)
	}
}

// TestMosquittoProperties carries what -D sets from mosquitto_pub to
// mosquitto_sub.
func TestMosquittoProperties(t *testing.T) {
	t.Parallel()
	program(t, "mosquitto_pub")
	s := start(t)
	flags := args(at(t, s.tcp), words("-V mqttv5"))
	sub := s.subscribed(t, "user=%P type=%C answer=%R data=%D expiry=%E format=%F", args(flags, words("-t a -q 1"))...)
	execute(t, "", "mosquitto_pub", args(flags, words("-t a -m x -q 1"), words(
		"-D publish user-property colour green -D publish user-property size 3"+
			" -D publish content-type text/plain -D publish response-topic answer/here"+
			" -D publish correlation-data 4711 -D publish message-expiry-interval 77 -D publish payload-format-indicator 1"))...)
	want := "a user=colour:green size:3 type=text/plain answer=answer/here data=4711 expiry=77 format=1"
	if got := sub.line("> "); got != want && got != strings.Replace(want, "77", "76", 1) {
		t.Errorf("mosquitto_sub wrote %q, want %q", got, want)
	}
}

// TestMosquittoRequest lets mosquitto_rr ask and two ordinary clients answer.
func TestMosquittoRequest(t *testing.T) {
	t.Parallel()
	program(t, "mosquitto_rr")
	s := start(t)
	worker := s.connect(t, login{version: v5, id: "worker"})
	worker.subscribe("question", 1)
	asker := launchClient(t, "mosquitto_rr", args(at(t, s.tcp), words("-V mqttv5 -q 1 -t question -e answer -m 6*7"))...)
	q := worker.receive()
	worker.publish(message{topic: q.props.text(responseTopic), qos: 1, payload: "42", props: properties{
		text(correlationData, q.props.text(correlationData)),
	}})
	if got := asker.line("42"); got != "" {
		t.Errorf("mosquitto_rr wrote 42%s, want 42", got)
	}
}
