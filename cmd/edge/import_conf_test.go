package main

import (
	"strings"
	"testing"

	"edge/internal/config"
)

// FuzzMosquittoConf: whatever is in it, each line has a place in what is said of it, what
// is to be written can be, and the password of a bridge is not repeated.
func FuzzMosquittoConf(f *testing.F) {
	f.Add("listener 1883\nprotocol websockets\nlistener 8883 ::1\ncertfile c\"\nkeyfile k\ncafile a\nrequire_certificate true\n")
	f.Add("password_file p\npassword_file p\nacl_file a\nplugin x/dynamic_security.so\nplugin_opt_config_file d\n")
	f.Add("connection c\naddress a\ntopic # both 2\n\tport 1884\nlistener 0 /run/\x01s\nallow_anonymous true\ninclude_dir d\n\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		text += "\nconnection x\nremote_password gEheim\nlocal_password gEheim\n"
		m := new(mosquittoImport)
		c := &mosquittoConf{m: m, files: make(map[string]confLine)}
		c.parse("mosquitto.conf", []byte(text), false)
		lines := strings.Count(text, "\n")
		for _, e := range append(m.warnings, m.errs...) {
			if e.Line < 1 || e.Line > lines || e.Column != 1 || strings.Contains(e.Message, "gEheim") {
				t.Errorf("%v of %d lines", e, lines)
			}
		}
		for _, l := range c.listeners {
			if _, err := config.Parse("edge.yaml", []byte("listener: "+l.yaml()+"\n")); err != nil {
				t.Errorf("listener %q: %v", l.at.value, err)
			}
		}
	})
}
