package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"edge/internal/config"
)

// A mosquittoConf is mosquitto.conf while it is read: which files it names, and
// what has to be written by hand.
type mosquittoConf struct {
	m     *mosquittoImport
	given mosquittoFiles // by flags, which win

	files     map[string]confLine // by key
	plugin    string              // the plugin that options are for
	bridge    bool                // options are those of a bridge
	listeners []mosquittoListener
}

// A confLine is a line of mosquitto.conf.
type confLine struct {
	file       string
	n          int
	key, value string
}

// readConf reads mosquitto.conf.
func (m *mosquittoImport) readConf(name string) {
	c := &mosquittoConf{m: m, given: m.files, files: make(map[string]confLine)}
	c.read(name, true)
	for _, l := range c.listeners {
		c.note(l.at, "a listener is not taken over; under broker.listeners write %s", l.yaml())
	}
	m.files.passwords = cmp.Or(m.files.passwords, c.files["password_file"].value)
	m.files.acl = cmp.Or(m.files.acl, c.files["acl_file"].value)
	m.files.dynamic = cmp.Or(m.files.dynamic, c.files[dynamicOptions].value)
	slices.SortStableFunc(m.warnings, func(a, b *config.Error) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
	})
}

// dynamicOptions is under what the file of the dynamic security plugin is known.
const dynamicOptions = "dynamic security"

// read reads one file. Only the main one may include others.
func (c *mosquittoConf) read(name string, main bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		c.m.wrong(name, err)
		return
	}
	c.parse(name, data, main)
}

func (c *mosquittoConf) parse(name string, data []byte, main bool) {
	n := 0
	for text := range strings.Lines(string(data)) {
		n++
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' {
			continue
		}
		if !utf8.ValidString(text) {
			c.m.errs = append(c.m.errs, &config.Error{File: name, Line: n, Column: 1, Message: "this line is not UTF-8"})
			continue
		}
		key, value, _ := strings.Cut(text, " ")
		line := confLine{name, n, key, strings.TrimSpace(value)}
		if key == "include_dir" && main {
			c.include(line)
			continue
		}
		c.line(line)
	}
}

// include reads the files of a folder, in mosquitto's order.
func (c *mosquittoConf) include(l confLine) {
	dir := l.path()
	entries, err := os.ReadDir(dir)
	if err != nil {
		c.m.wrong(dir, err)
		return
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".conf" {
			c.read(filepath.Join(dir, e.Name()), false)
		}
	}
}

// path returns the value as the name of a file. Relative ones count from where
// the line is: mosquitto's own folder is not known.
func (l confLine) path() string {
	if filepath.IsAbs(l.value) {
		return l.value
	}
	return filepath.Join(filepath.Dir(l.file), l.value)
}

func (c *mosquittoConf) note(l confLine, format string, args ...any) {
	c.m.warnings = append(c.m.warnings, &config.Error{File: l.file, Line: l.n, Column: 1, Message: fmt.Sprintf(format, args...)})
}

// line does what a line asks for. A value is never repeated unless it is known
// to be no password: a bridge has some.
func (c *mosquittoConf) line(l confLine) {
	switch {
	case l.key == "connection":
		c.bridge = true
		c.note(l, "a bridge to another broker is not taken over")
	case l.key == "listener" || l.key == "port" && l.value != "0":
		c.bridge = false
		c.listeners = append(c.listeners, mosquittoListener{at: l})
	case c.listen(l):
	case c.bridge && !slices.Contains(globalKeys, l.key):
	case slices.Contains([]string{"plugin", "auth_plugin", "global_plugin"}, l.key):
		c.plugin = filepath.Base(l.value)
		if !c.dynamic() {
			c.note(l, "plugin %s is not taken over, nor what it lets in and keeps out", c.plugin)
		}
	case c.dynamic() && (l.key == "plugin_opt_config_file" || l.key == "auth_opt_config_file"):
		c.file(l, dynamicOptions, c.given.dynamic)
	case l.key == "password_file":
		c.file(l, l.key, c.given.passwords)
	case l.key == "acl_file":
		c.file(l, l.key, c.given.acl)
	case l.key == "allow_anonymous" && l.value == "true":
		c.note(l, "clients without credentials: under broker write allow_anonymous: true; what they may do is in access.anonymous")
	case !slices.Contains(harmlessKeys, l.key) && !strings.HasPrefix(l.key, "plugin_opt_"):
		c.note(l, "%s is not taken over", l.key)
	}
}

func (c *mosquittoConf) dynamic() bool { return strings.Contains(c.plugin, "dynamic_security") }

// file notes the file that a line names. given is what a flag says instead.
func (c *mosquittoConf) file(l confLine, key, given string) {
	if first, ok := c.files[key]; ok && given == "" {
		c.m.errs = append(c.m.errs, &config.Error{
			File: l.file, Line: l.n, Column: 1,
			Message: fmt.Sprintf("%s:%d names the %s already, and there is one set of users and rules here; say which by a flag", first.file, first.n, l.key),
		})
		return
	}
	l.value = l.path()
	c.files[key] = l
}

// globalKeys are those that mean the same within the part about a bridge.
var globalKeys = []string{"password_file", "acl_file", "allow_anonymous", "plugin", "auth_plugin", "global_plugin", "plugin_opt_config_file", "auth_opt_config_file"}

// harmlessKeys have no counterpart that somebody would miss.
var harmlessKeys = []string{
	"allow_anonymous", "allow_duplicate_messages", "autosave_interval", "autosave_on_changes", "bind_address", "check_retain_source",
	"connection_messages", "log_dest", "log_facility", "log_timestamp", "log_timestamp_format", "log_type", "per_listener_settings",
	"persistence", "persistence_file", "persistence_location", "pid_file", "port", "set_tcp_nodelay", "sys_interval",
	"upgrade_outgoing_qos", "use_identity_as_username", "user", "websockets_headers_size", "websockets_log_level",
}

// A mosquittoListener is a part of mosquitto.conf about a listener.
type mosquittoListener struct {
	at                confLine
	web               bool
	cert, key, client string // files
	mutual            bool
}

// listen takes a line that is about the listener before it.
func (c *mosquittoConf) listen(l confLine) bool {
	if len(c.listeners) == 0 || c.bridge {
		return false
	}
	at := &c.listeners[len(c.listeners)-1]
	switch l.key {
	case "protocol":
		at.web = l.value == "websockets"
	case "certfile":
		at.cert = l.path()
	case "keyfile":
		at.key = l.path()
	case "cafile":
		at.client = l.path()
	case "require_certificate":
		at.mutual = l.value == "true"
	default:
		return false
	}
	return true
}

// yaml returns what a configuration has for the listener.
func (m mosquittoListener) yaml() string {
	scheme, path := "tcp", ""
	switch {
	case m.web && m.cert != "":
		scheme, path = "wss", "/mqtt"
	case m.web:
		scheme, path = "ws", "/mqtt"
	case m.cert != "":
		scheme = "tls"
	}
	port, host, _ := strings.Cut(m.at.value, " ")
	url := scheme + "://" + net.JoinHostPort(strings.TrimSpace(host), port) + path
	if port == "0" {
		url = "unix://" + strings.TrimSpace(host)
	}
	out := fmt.Sprintf("{url: %q", url)
	if m.cert != "" {
		out += fmt.Sprintf(", cert: %q, key: %q", m.cert, m.key)
	}
	if m.mutual {
		out += fmt.Sprintf(", client_ca: %q", m.client)
	}
	return out + "}"
}
