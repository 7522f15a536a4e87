package broker

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzRequest has what is wrong with a request be said without what it says, and what
// was understood be understood again.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"command":"user add","id":"1","user":"anna","password":"planted-secret","generate":false,"roles":["a"]}`,
		`{"command":"pair","code":"bako dilo fume gari hoja kine","user":"anna","password":"planted-secret"}`,
		`{"password":12345678}`, `{"roles":{"a":["b"]}}`, `{"command":"user list"} {}`, `{"command":"\u0000"}`, `[]`, `null`, ``, `{"usr":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var r Request
		if err := r.decode(payload); err != nil {
			if r.Command != "" || r.Password.Reveal() != "" || r.Code.Reveal() != "" {
				t.Errorf("%q is wrong, and leaves %+v", payload, r)
			}
			return
		}
		text, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"password", "code"} {
			if !strings.Contains(string(text), `"`+field+`":"[redacted]"`) {
				t.Errorf("%s shows the %s", text, field)
			}
		}
		var again Request
		if err := again.decode(text); err != nil || again.Command != r.Command || again.User != r.User || len(again.Roles) != len(r.Roles) {
			t.Errorf("%s is read as %+v, %v", text, again, err)
		}
	})
}
