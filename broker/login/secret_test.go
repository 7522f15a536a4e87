package login_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"edge/broker/login"
)

const planted = "planted-Secret"

// Whatever way a password takes to a log, only that there was one arrives.
func TestSecretsAreInNoLog(t *testing.T) {
	secret := login.NewSecret(planted)
	hash := login.HashPassword(secret, login.Cost{KiB: 8, Passes: 1, Lanes: 1})
	var log bytes.Buffer
	for _, v := range []any{
		secret, &secret,
		login.Attempt{User: "anna", Password: secret, From: netip.MustParseAddr("192.0.2.1")},
		struct{ hidden login.Secret }{secret},
		map[string]login.Secret{"password": secret},
		[]login.Secret{secret},
		login.User{Name: "anna", Hash: hash},
		struct{ hidden login.User }{login.User{Hash: hash}},
		fmt.Errorf("log in with %v", secret),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
			fmt.Fprintf(&log, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("login", "what", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("login", "what", v)
		if err := json.NewEncoder(&log).Encode(v); err != nil {
			t.Error(err)
		}
	}
	fields := strings.Split(hash.Encode(), "$")
	for _, s := range []string{planted, fmt.Sprintf("%x", planted), strings.Trim(fmt.Sprintf("%d", []byte(planted)), "[]"), fields[len(fields)-1]} {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log has %q:\n%s", s, log.String())
		}
	}
	if !strings.Contains(log.String(), "[redacted]") {
		t.Error("the log does not say that there was a secret")
	}
}

func TestGeneratedSecretsAreLongAndDiffer(t *testing.T) {
	a, b := login.GenerateSecret().Reveal(), login.GenerateSecret().Reveal()
	if a == b || len(a) < 26 {
		t.Errorf("generated %q and %q", a, b)
	}
}
