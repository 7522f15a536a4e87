package metrics

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// open serves what collect gives at a free port.
func open(t *testing.T, collect func(Samples)) *Server {
	t.Helper()
	s, err := Open(Config{Listen: "127.0.0.1:0"}, collect, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// request sends text on a connection of its own and returns the answer: its
// status, and its content type and body in one text.
func request(t *testing.T, s *Server, text string) (status int, answer string) {
	t.Helper()
	c, err := net.Dial("tcp", s.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body) // A header that is too long ends in a reset.
	return r.StatusCode, r.Header.Get("Content-Type") + "\n" + string(body)
}

func TestScrape(t *testing.T) {
	scrapes := uint64(0)
	s := open(t, func(out Samples) {
		scrapes++
		out.Gauge(`b{x="1"}`, 2.5)
		out.Counter("a_total", 1<<60+scrapes)
		out.Gauge(`b{x="0"}`, 1e15)
	})
	status, answer := request(t, s, "GET /metrics HTTP/1.1\r\nHost: localhost:9883\r\nConnection: close\r\n\r\n")
	want := "text/plain; version=0.0.4; charset=utf-8\n" +
		"# HELP a_total\n# TYPE a_total counter\na_total 1152921504606846977\n" +
		"# HELP b\n# TYPE b gauge\nb{x=\"0\"} 1000000000000000\nb{x=\"1\"} 2.5\n"
	if status != 200 || !strings.HasPrefix(answer, want) {
		t.Errorf("answer is %d %.200q…, want 200 %q", status, answer, want)
	}
	for _, name := range []string{
		"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "go_goroutines",
		"go_memstats_heap_alloc_bytes",
	} {
		if !regexp.MustCompile(`(?m)^# TYPE ` + name + ` (gauge|counter)\n` + name + ` [0-9]`).MatchString(answer) {
			t.Errorf("%s is not in the scrape", name)
		}
	}
	if strings.Contains(answer, "go_sched") || strings.Contains(answer, "process_io") {
		t.Error("the scrape has metrics that nobody looks at")
	}
	if _, answer := request(t, s, "GET /metrics HTTP/1.0\r\nHost: [::1]\r\n\r\n"); !strings.Contains(answer, "a_total 1152921504606846978\n") {
		t.Errorf("the second scrape is %.100q…, want numbers of its own", answer)
	}
	if status, answer := request(t, s, "HEAD /metrics HTTP/1.1\r\nHost: 127.8.9.10\r\n\r\n"); status != 200 || !strings.HasSuffix(answer, "utf-8\n") {
		t.Errorf("HEAD is answered with %d and %q, want 200 and no body", status, answer)
	}
}

// TestOtherRequests answers them, and collects nothing.
func TestOtherRequests(t *testing.T) {
	s := open(t, func(Samples) { t.Error("numbers were collected") })
	tests := []struct {
		request string
		status  int
	}{
		{"GET / HTTP/1.1\r\nHost: localhost", 404},
		{"GET /metrics/ HTTP/1.1\r\nHost: localhost", 404},
		{"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost", 404},
		{"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0", 405},
		{"GET /metrics HTTP/1.1\r\nHost: evil.example:9883", 403},
		{"GET /metrics HTTP/1.1\r\nHost: 192.0.2.1", 403},
		{"GET /metrics HTTP/1.1\r\nHost: localhost.evil.example", 403},
		{"GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost", 403},
		{"GET /metrics HTTP/1.0", 403},
		{"GET /metrics HTTP/1.1", 400},
		{"nonsense", 400},
		{"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 10_000), 431},
	}
	for _, tt := range tests {
		if status, answer := request(t, s, tt.request+"\r\n\r\n"); status != tt.status {
			t.Errorf("%.80q is answered with %d %.60q, want %d", tt.request, status, answer, tt.status)
		}
	}
}

func TestValidate(t *testing.T) {
	for listen, want := range map[string]string{
		"": "", "127.0.0.1:9883": "", "127.0.0.2:0": "", "[::1]:9883": "", "localhost:9883": "",
		"9883":             "missing port",
		"127.0.0.1":        "missing port",
		"127.0.0.1:99999":  "port 99999: must be",
		":9883":            "not a loopback address",
		"0.0.0.0:9883":     "not a loopback address",
		"[::]:9883":        "not a loopback address",
		"192.168.1.2:9883": "not a loopback address",
		"house.local:9883": "not a loopback address",
	} {
		err := Config{Listen: listen}.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "listen: ")) {
			t.Errorf("Validate(%q) = %v, want %q", listen, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	off, err := Open(Config{}, nil, log)
	if err != nil || off.URL() != "" {
		t.Errorf("Open without an address: %q, %v; want a server that serves nothing", off.URL(), err)
	}
	off.Close()
	s := open(t, func(Samples) {})
	taken := s.l.Addr().String()
	_, err = Open(Config{Listen: taken}, nil, log)
	if err == nil || !strings.Contains(err.Error(), "serve metrics at "+taken) || !strings.Contains(err.Error(), "metrics.listen") {
		t.Errorf("Open of a port that is taken: %v, want what and what to do", err)
	}
	s.Close()
	again, err := Open(Config{Listen: taken}, nil, log)
	if err != nil {
		t.Fatalf("Open of a port that was given back: %v", err)
	}
	again.Close()
}
