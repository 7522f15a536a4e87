package serial

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edge/internal/codec"
	"edge/internal/config"
	"edge/internal/frame"
)

// recorded returns what a device has sent, of testdata/devices: text, or bytes in
// hexadecimal with comments that say where they are from.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/devices/" + name + ".txt")
	if err == nil {
		return []byte(strings.ReplaceAll(string(b), "\n", "\r\n"))
	}
	if b, err = os.ReadFile("testdata/devices/" + name + ".hex"); err != nil {
		t.Fatal(err)
	}
	var digits string
	for line := range strings.Lines(string(b)) {
		if line[0] != '#' {
			digits += strings.Join(strings.Fields(line), "")
		}
	}
	if b, err = hex.DecodeString(digits); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// hear has a book read bytes as from the port, frames as answers to what was
// asked.
func hear(t testing.TB, cfg Config, stream []byte) *book {
	t.Helper()
	b, err := newBook(cfg, epoch)
	if err != nil {
		t.Fatal(err)
	}
	s := frame.NewSplitter(cfg.spec())
	s.Feed(stream, epoch, func(f []byte) {
		for _, r := range cfg.Requests {
			is, err := r.Expect.compile()
			if err != nil {
				t.Fatal(err)
			}
			if is(f) {
				b.read(f, r.ID, epoch)
				return
			}
		}
		b.line(f, epoch)
	})
	b.failed(s.Stats())
	return b
}

func TestDevicesDecodeTheirTables(t *testing.T) {
	type m = map[string]string
	tests := map[string]m{
		"dsmr-p1": {
			"energy_t1": "123456.789", "energy_t2": "123456.789", "tariff": "0002", "power": "1193", "power_returned": "0",
			"voltage_l1": "220.1", "current_l3": "3", "power_l2": "2222", "gas": "12785.123", "water": "", "failures": "00004",
		},
		"dsmr-p1-v2":    {"energy_t1": "24", "returned_t1": "26", "power": "30", "gas": "24.123", "tariff": "0002"},
		"sml":           {"energy": "22462.4136", "energy_t2": "0", "power": "168", "power_l1": "117", "power_l3": "29", "returned": ""},
		"iec62056-21":   {"energy": "1234.5", "returned": "99.9", "serial": "12345678"},
		"iec62056-21-d": {"energy": "1234.5", "returned": "99.9", "serial": "12345678"},
		"nmea": {
			"latitude": "47.2852273", "longitude": "8.5652608", "altitude": "499.6", "speed": "0.007408", "course": "77.52",
			"satellites": "8", "fix": "ON", "time": "2002-12-09T08:35:59.00Z",
		},
		"sds011":      {"pm2_5": "123.6", "pm10": "261.8"},
		"nova":        {"pm2_5": "123.6", "pm10": "261.8"},
		"pms5003":     {"pm1": "5", "pm2_5": "13", "pm10": "22", "n0_3": "765", "n2_5": "15"},
		"mh-z19":      {"co2": "608", "temperature": "31"},
		"senseair-s8": {"co2": "400", "fault": "OFF", "range": "OFF"},
		"lacrosse":    {"sensor": "55", "temperature": "21.6", "humidity": "56", "low_battery": "OFF"},
		"at-modem":    {"signal": "-83", "registration": "1", "operator": "Swisscom"},
		"ez430":       {"node": "0001", "temperature": "24.4", "battery": "3.0", "strength": "48"},
	}
	for _, d := range Devices() {
		want, ok := tests[d.Name]
		if !ok {
			t.Errorf("%s has no test", d.Name)
			continue
		}
		delete(tests, d.Name)
		d.Serial.Port = "x"
		if err := d.Serial.Validate(); err != nil || d.About == "" || d.Source == "" {
			t.Errorf("%s is about %q, from %q: %v", d.Name, d.About, d.Source, err)
			continue
		}
		b := hear(t, d.Serial, recorded(t, d.Name))
		for i, e := range d.Serial.Entities {
			if w, ok := want[e.ID]; ok && b.state(i) != w {
				t.Errorf("%s: %s is %q (%s), want %q", d.Name, e.ID, b.state(i), b.attr(i).Error, w)
			}
			delete(want, e.ID)
		}
		greeting := uint64(strings.Count(string(recorded(t, d.Name)), "[")) // of a sketch
		if len(want) > 0 || b.bad != greeting {
			t.Errorf("%s has no entities %v; %d bad frames, want %d: %s", d.Name, want, b.bad, greeting, b.lastBad)
		}
	}
	if len(tests) > 0 {
		t.Errorf("no device for %v", tests)
	}
}

// A byte that is not what it was must be seen where a device has a checksum, and
// one that has none is known.
func TestDevicesNoticeDamage(t *testing.T) {
	without := []string{"dsmr-p1-v2", "iec62056-21-d", "lacrosse", "at-modem", "ez430"}
	for _, d := range Devices() {
		if slices.Contains(without, d.Name) {
			continue
		}
		stream := recorded(t, d.Name)
		i := len(stream) / 2
		stream[i] ^= 1
		if b := hear(t, d.Serial, stream); b.bad == 0 && b.frames.NoiseBytes == 0 {
			t.Errorf("%s takes a frame with a damaged byte %d", d.Name, i)
		}
	}
}

// Several sensors at one receiver are told apart.
func TestDeviceSelects(t *testing.T) {
	d, err := LoadDevice("lacrosse", "")
	if err != nil {
		t.Fatal(err)
	}
	d.Serial.Port = "x"
	d.Serial.Entities = []Entity{{ID: "bath", Key: "56/temperature", Unit: "°C"}, {ID: "attic", Key: "49/temperature", Unit: "°C"}}
	if err := d.Serial.Validate(); err != nil {
		t.Fatal(err)
	}
	b := hear(t, d.Serial, recorded(t, "lacrosse"))
	if b.state(0) != "18" || b.state(1) != "20.6" {
		t.Errorf("bath %q, attic %q, want 18 and 20.6", b.state(0), b.state(1))
	}
}

func read(t *testing.T, text string) (Config, error) {
	t.Helper()
	tree, err := config.Parse("edge.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Serial config.Section `yaml:"serial"`
	}
	if err := tree.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	return c, c.DecodeSection(doc.Serial)
}

func TestDeviceIsChanged(t *testing.T) {
	c := DefaultConfig()
	tree, err := config.Parse("edge.yaml", []byte(`
serial:
  device: sds011
  port: usb-x
  stale_after: 1h
  without: [pm10]
  entities:
    - {id: pm2_5, name: Dust, max: 500}
    - {id: sensor, key: id}
`))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Serial config.Section `yaml:"serial"`
	}
	if err := errors.Join(tree.Decode(&doc), c.DecodeSection(doc.Serial), c.Validate()); err != nil {
		t.Fatal(err)
	}
	if c.Baud != 9600 || c.Port != "usb-x" || c.StaleAfter.Hours() != 1 || c.Manufacturer != "Nova Fitness" || len(c.Entities) != 2 {
		t.Errorf("%+v is not the device with what was changed", c)
	}
	dust := c.Entities[0]
	if dust.Name != "Dust" || dust.Unit != "µg/m³" || *dust.Max != 500 || c.Entities[1].ID != "sensor" {
		t.Errorf("entities %+v, want pm2_5 with a name and its unit, and sensor", c.Entities)
	}
}

func TestDeviceMistakes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"serial: {device: sds012}", `serial.device: no device "sds012" is known`},
		{"serial: {device: ../x}", `serial.device: "../x" must have only`},
		{"serial: {device: sds011, without: [x]}", `serial.without[0]: sds011 has no entity "x"`},
		{"serial: {without: [x]}", "serial.without: is for a device"},
		{"serial: {device: sds011, baud: x}", "baud"},
	} {
		if _, err := read(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestDeviceOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("mine", "about: My stick\nserial: {baud: 1200, format: pairs, entities: [{id: t}]}\n")
	write("sds011", "serial: {baud: 4800}\n")
	write("bad", "serial: {baud: [}\n")
	if d, err := LoadDevice("mine", dir); err != nil || d.Serial.Baud != 1200 || d.Serial.Format != Pairs || d.About != "My stick" {
		t.Errorf("mine is %+v, %v", d, err)
	}
	if d, err := LoadDevice("sds011", dir); err != nil || d.Serial.Baud != 4800 {
		t.Errorf("one's own sds011 has %d baud, %v, want 4800", d.Serial.Baud, err)
	}
	if d, err := LoadDevice("sml", dir); err != nil || d.Serial.Format != SML {
		t.Errorf("what is not in the folder is not built in: %+v, %v", d, err)
	}
	if _, err := LoadDevice("bad", dir); err == nil || !strings.Contains(err.Error(), "bad.yaml:1") {
		t.Errorf("bad: %v, want its place", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDevice("folder", dir); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("folder: %v, want that it cannot be read", err)
	}
}

// Signs are keys that a device says in what was recorded.
func TestDevicesAreKnownByTheirSigns(t *testing.T) {
	for _, d := range Devices() {
		decode, err := newDecoder(d.Serial)
		if err != nil || len(d.Sign) == 0 {
			t.Errorf("%s has signs %v, %v", d.Name, d.Sign, err)
			continue
		}
		seen := false
		s := frame.NewSplitter(d.Serial.spec())
		s.Feed(recorded(t, d.Name), epoch, func(f []byte) {
			get, err := decode(f)
			seen = seen || err == nil && !slices.ContainsFunc(d.Sign, func(key string) bool { return !has(get, key) })
		})
		if !seen {
			t.Errorf("%s does not say %v", d.Name, d.Sign)
		}
	}
}

func has(get codec.Lookup, key string) bool {
	v, ok := get(key)
	return ok && (v.Text != "" || v.Trouble != "")
}

var update = flag.Bool("update", false, "write the table of devices into the documentation")

// TestDevicesAreDocumented holds that the page has the table of the devices.
func TestDevicesAreDocumented(t *testing.T) {
	const page, head = "../../docs/serial.md", "| `device:` | what it is | line | entities | from |\n|---|---|---|---|---|\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(b), head)
	if !found {
		t.Fatalf("%s has no table of devices", page)
	}
	table, after, _ := strings.Cut(rest, "\n\n")
	if strings.HasPrefix(rest, "\n") { // no row yet
		table, after = "", rest[1:]
	}
	var rows []string
	for _, d := range Devices() {
		c := d.Serial
		var ids []string
		for _, e := range c.Entities {
			ids = append(ids, "`"+e.ID+"`")
		}
		line := fmt.Sprintf("%d %d%s%d", c.Baud, c.DataBits, strings.ToUpper(string(c.Parity[:1])), c.StopBits)
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s | %s |", d.Name, d.About, line, strings.Join(ids, ", "), d.Source))
	}
	want := strings.Join(rows, "\n")
	if *update {
		err = os.WriteFile(page, []byte(before+head+want+"\n\n"+after), 0o644)
	} else if table != want {
		err = fmt.Errorf("%s is not up to date: it has\n%s\nwant\n%s", page, table, want)
	}
	if err != nil {
		t.Error(err)
	}
}
