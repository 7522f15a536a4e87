package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// A remote is how pub and sub reach a broker. Its flags are those of
// mosquitto_pub and mosquitto_sub.
type remote struct {
	url, host, unix, bind       string
	port                        int
	caFile, caPath, cert, key   string
	insecure, osCerts           bool
	user, password, passFile    string
	id, idPrefix                string
	version                     string
	keepAlive                   int
	expiry                      string
	persistent                  bool
	willTopic, willPayload      string
	willQoS                     int
	willRetain                  bool
	debug, quiet                bool
	properties                  properties
	timeout                     time.Duration // to be connected, and for each acknowledgement
	topicInURL, address, scheme string        // made of url by resolve
}

func (r *remote) flags(fs *pflag.FlagSet) {
	fs.Bool("help", false, "help for this command") // -h is the host, as in mosquitto's tools.
	fs.StringVarP(&r.url, "url", "L", "", "broker as tcp://, tls://, mqtt://, mqtts://USER:PASSWORD@HOST:PORT[/TOPIC] or unix:///PATH (env EDGE_URL)")
	fs.StringVarP(&r.host, "host", "h", "localhost", "broker's host")
	fs.IntVarP(&r.port, "port", "p", 0, "broker's port (1883, with TLS 8883)")
	fs.StringVar(&r.unix, "unix", "", "broker's unix socket")
	fs.StringVarP(&r.bind, "bind", "A", "", "local address to connect from")
	fs.StringVarP(&r.id, "id", "i", "", "client id (given by the broker)")
	fs.StringVarP(&r.idPrefix, "id-prefix", "I", "", "client id: this and the process id")
	fs.StringVarP(&r.user, "username", "u", "", "user name (env EDGE_USERNAME)")
	fs.StringVarP(&r.password, "pw", "P", "", "password; all users of this machine can see it, so prefer --password-file, EDGE_PASSWORD or the prompt")
	fs.StringVar(&r.passFile, "password-file", "", "file whose first line is the password")
	fs.StringVarP(&r.version, "protocol-version", "V", "mqttv5", "only 5 is spoken")
	fs.IntVarP(&r.keepAlive, "keepalive", "k", 60, "seconds of silence before a ping")
	fs.StringVarP(&r.expiry, "session-expiry-interval", "x", "", "seconds that the session outlives the connection; -1 is for ever")
	fs.StringVar(&r.caFile, "cafile", "", "PEM file of the authorities to trust")
	fs.StringVar(&r.caPath, "capath", "", "directory of PEM files of the authorities to trust")
	fs.BoolVar(&r.osCerts, "tls-use-os-certs", false, "TLS, trusting this machine's authorities")
	fs.StringVar(&r.cert, "cert", "", "PEM file of the client's certificate")
	fs.StringVar(&r.key, "key", "", "PEM file of the client's key")
	fs.BoolVar(&r.insecure, "insecure", false, "do not check the broker's certificate; for tests only")
	fs.StringVar(&r.willTopic, "will-topic", "", "topic of the will, which the broker publishes if the connection is lost")
	fs.StringVar(&r.willPayload, "will-payload", "", "payload of the will")
	fs.IntVar(&r.willQoS, "will-qos", 0, "QoS of the will")
	fs.BoolVar(&r.willRetain, "will-retain", false, "retain the will")
	fs.VarP(&r.properties, "property", "D", "MQTT property: -D COMMAND NAME VALUE, like -D publish user-property KEY VALUE")
	fs.BoolVarP(&r.debug, "debug", "d", false, "say on stderr what happens")
	fs.BoolVar(&r.quiet, "quiet", false, "say nothing on stderr")
	fs.DurationVar(&r.timeout, "timeout", 10*time.Second, "longest wait for the connection and for an acknowledgement")
	fs.SortFlags = false
}

// resolve makes scheme and address of the flags and reports mistakes in them.
func (r *remote) resolve() error {
	switch r.version {
	case "5", "mqttv5":
	default:
		return usageError{fmt.Errorf("-V %s: only MQTT 5 is spoken; mosquitto_pub and mosquitto_sub speak the older ones", r.version)}
	}
	if r.keepAlive < 0 || r.keepAlive > 65535 {
		return usageError{fmt.Errorf("-k %d: must be 0 to 65535 seconds", r.keepAlive)}
	}
	if r.willQoS < 0 || r.willQoS > 2 {
		return usageError{fmt.Errorf("--will-qos %d: must be 0, 1 or 2", r.willQoS)}
	}
	if r.user == "" {
		r.user = os.Getenv("EDGE_USERNAME")
	}
	if r.idPrefix != "" && r.id == "" {
		r.id = r.idPrefix + strconv.Itoa(os.Getpid())
	}
	return r.resolveAddress()
}

func (r *remote) resolveAddress() error {
	if r.unix != "" {
		r.scheme, r.address = "unix", r.unix
		return nil
	}
	if r.url == "" && r.host == "localhost" && r.port == 0 {
		r.url = env("EDGE_URL")
	}
	if r.url != "" {
		return r.resolveURL()
	}
	r.scheme = "tcp"
	if r.caFile != "" || r.caPath != "" || r.cert != "" || r.insecure || r.osCerts || r.port == 8883 {
		r.scheme = "tls"
	}
	r.address = net.JoinHostPort(r.host, r.portOr(r.scheme))
	return nil
}

func (r *remote) portOr(scheme string) string {
	switch {
	case r.port != 0:
		return strconv.Itoa(r.port)
	case scheme == "tls":
		return "8883"
	}
	return "1883"
}

func (r *remote) resolveURL() error {
	u, err := url.Parse(r.url)
	if err != nil {
		return usageError{fmt.Errorf("broker's URL: %w", err)}
	}
	switch u.Scheme {
	case "tcp", "mqtt":
		r.scheme = "tcp"
	case "tls", "mqtts", "ssl":
		r.scheme = "tls"
	case "unix":
		r.scheme, r.address = "unix", u.Path
		return nil
	default:
		return usageError{fmt.Errorf("broker's URL %q: must begin with tcp://, tls://, mqtt://, mqtts:// or unix://", u.Redacted())}
	}
	if u.Hostname() == "" {
		return usageError{fmt.Errorf("broker's URL %q: has no host", u.Redacted())}
	}
	port := u.Port()
	if port == "" {
		port = r.portOr(r.scheme)
	}
	r.address = net.JoinHostPort(u.Hostname(), port)
	if u.User != nil {
		r.user = u.User.Username()
		if p, ok := u.User.Password(); ok {
			r.password = p
		}
	}
	r.topicInURL = strings.TrimPrefix(u.Path, "/")
	return nil
}

// dial connects to the broker's address.
func (r *remote) dial(ctx context.Context) (net.Conn, error) {
	network := "tcp"
	if r.scheme == "unix" {
		network = "unix"
	}
	d := &net.Dialer{}
	if r.bind != "" && network == "tcp" {
		a, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(r.bind, "0"))
		if err != nil {
			return nil, fmt.Errorf("local address: %w", err)
		}
		d.LocalAddr = a
	}
	address := loopback(ctx, net.DefaultResolver.LookupHost, r.address)
	if r.scheme != "tls" {
		return d.DialContext(ctx, network, address)
	}
	cfg, err := r.tlsConfig()
	if err != nil {
		return nil, coded(exitFailed, err)
	}
	if address != r.address {
		cfg.ServerName = "localhost"
	}
	return (&tls.Dialer{NetDialer: d, Config: cfg}).DialContext(ctx, "tcp", address)
}

// loopback returns address, with 127.0.0.1 for localhost on a board that has
// neither /etc/hosts nor a name server.
func loopback(ctx context.Context, lookup func(context.Context, string) ([]string, error), address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "localhost" {
		return address
	}
	if _, err := lookup(ctx, host); err == nil {
		return address
	}
	return net.JoinHostPort("127.0.0.1", port)
}

func (r *remote) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.insecure}
	files, err := r.authorities()
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		cfg.RootCAs = x509.NewCertPool()
	}
	for _, name := range files {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read authorities: %w", err)
		}
		if !cfg.RootCAs.AppendCertsFromPEM(pem) && name == r.caFile {
			return nil, fmt.Errorf("read authorities: %s holds no PEM certificate", name)
		}
	}
	if r.cert == "" && r.key == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(r.cert, r.key)
	if err != nil {
		return nil, fmt.Errorf("read client certificate: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

func (r *remote) authorities() ([]string, error) {
	var files []string
	if r.caFile != "" {
		files = append(files, r.caFile)
	}
	if r.caPath == "" {
		return files, nil
	}
	entries, err := os.ReadDir(r.caPath)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			files = append(files, filepath.Join(r.caPath, e.Name()))
		}
	}
	return files, nil
}

// unreachable explains err, which came of connecting to the broker.
func (r *remote) unreachable(err error) error {
	if _, ok := errors.AsType[codedError](err); ok {
		return err
	}
	hint := ""
	if r.scheme == "tls" {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			hint = "; name the authority that signed the broker's certificate with --cafile"
		}
	} else if isRefusal(err) {
		hint = "; is a broker running there? `edge demo` starts one"
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		err = e.Err
	}
	return coded(exitUnreachable, fmt.Errorf("connect to %s://%s: %w%s", r.scheme, r.address, err, hint))
}
