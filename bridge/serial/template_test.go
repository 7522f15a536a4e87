package serial

import (
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	o := order{ID: "led", Value: "ON", Raw: "1"}
	for text, want := range map[string]string{
		"":                                    "",
		"plain":                               "plain",
		"{{.ID}}={{.Raw}}\r":                  "led=1\r",
		"{{ .Value | lower }}{{.Value}}":      "onON",
		`{{printf "%4s|" .Value}}`:            "  ON|",
		`{{.Value | lower | printf "%q"}}`:    `"on"`,
		`{{printf "%s-%s" .ID .Raw}}`:         "led-1",
		`{{upper "x"}}{{"|" | lower}}`:        "X|",
		"{{upper .ID}} }} {":                  "LED }} {",
		`{{printf "%s %s" "a b" .ID}}{{.ID}}`: "a b ledled",
		`\x01\xFFa{{.Raw}}\x00`:               "\x01\xffa1\x00",
		`{{hex "AA b4"}}{{.Raw}}`:             "\xaa\xb41",
		"0xAA B4 06":                          "\xaa\xb4\x06",
		"0x{{.Raw}}":                          "0x1",
	} {
		tmpl, err := parseTemplate(text)
		if got := tmpl.render(o); got != want || err != nil {
			t.Errorf("%q makes %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"{{.Value":              "{{ without }}",
		"{{}}":                  "missing",
		"{{.Value | }}":         "missing",
		"{{.Nobody}}":           "there is no .Nobody",
		"{{if false}}x{{end}}":  "no false",
		"{{.Value | reverse}}":  "no function reverse",
		"{{.Value .Raw}}":       "no function .Value",
		`{{printf "%s}}`:        "not closed",
		`{{printf "%s"}}`:       "a format and a value",
		"{{lower .Value .Raw}}": "one value",
		`led \x0`:               "two hexadecimal digits",
		`{{hex .Value}}`:        "wants a text",
		`{{hex "a"}}`:           "not bytes",
	} {
		if _, err := parseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"led {{.Raw}}\n", `{{printf "%5s" .Value | lower}}`, "{{", `{{"}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if tmpl, err := parseTemplate(text); err == nil && !strings.Contains(text, "printf") {
			if n := len(tmpl.render(order{"id", "value", "raw"})); n > 10*len(text) {
				t.Errorf("%d bytes of %d", n, len(text))
			}
		}
	})
}
