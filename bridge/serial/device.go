package serial

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"edge/internal/config"
)

// A Device is a stick that is known: what has to be configured for it.
type Device struct {
	Name   string   `yaml:"-"`
	About  string   `yaml:"about" doc:"What it is, in a line."`
	Source string   `yaml:"source" doc:"The document that says how it speaks."`
	Sign   []string `yaml:"sign" doc:"Keys that one of its frames has, by which it is known."`
	Hello  string   `yaml:"hello" doc:"What the answer to the first request has in it, as a regular expression, where that takes too long to be heard."`
	Bauds  []int    `yaml:"bauds" doc:"Other rates that it may have."`
	Serial Config   `yaml:"serial" doc:"As in the section of a bridge, without a port."`
}

// Known is what a configuration says of a Device.
type Known struct {
	Device     string   `yaml:"device" doc:"A stick that is known, such as dsmr-p1, sml or sds011: what follows changes its settings, and entities with an id that it has change these. docs/serial.md lists them; edge serial identify finds out."`
	DevicesDir string   `yaml:"devices_dir" doc:"Where descriptions of devices are looked for as NAME.yaml before those that are built in."`
	ModeC      bool     `yaml:"mode_c" doc:"A meter of IEC 62056-21, modes A to C: after a request /?! the line changes to the rate that the meter tells, until the next one."`
	Without    []string `yaml:"without" doc:"Entities of the device that are left out."`
}

//go:embed devices/*.yaml
var builtIn embed.FS

// Devices returns the devices that are built in, by name.
func Devices() []Device {
	names, err := fs.Glob(builtIn, "devices/*.yaml")
	if err != nil {
		return nil
	}
	var all []Device
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		if d, err := LoadDevice(name, ""); err == nil {
			all = append(all, d)
		}
	}
	return all
}

// LoadDevice returns the device with this name, from NAME.yaml in dir or, where
// that is not there, from those that are built in.
func LoadDevice(name, dir string) (Device, error) {
	d := Device{Name: name, Serial: DefaultConfig()}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return d, fmt.Errorf("%q must have only a-z, 0-9, _ and -", name)
	}
	file := filepath.Join(dir, name+".yaml")
	data, err := readDevice(dir, file, name)
	if errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("no device %q is known", name)
	}
	if err != nil {
		return d, err
	}
	tree, err := config.Parse(file, data)
	return d, errors.Join(err, tree.Decode(&d))
}

func readDevice(dir, file, name string) ([]byte, error) {
	if dir != "" {
		data, err := os.ReadFile(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return builtIn.ReadFile("devices/" + name + ".yaml")
}

// DecodeSection reads s over c and, where it names a device, over what is known
// of that.
func (c *Config) DecodeSection(s config.Section) error {
	said := *c
	err := s.Decode(&said)
	if said.Device == "" {
		*c = said
		if said.Without != nil {
			err = errors.Join(err, mistake(s, "without", errors.New("is for a device")))
		}
		return err
	}
	d, unknown := LoadDevice(said.Device, said.DevicesDir)
	if unknown != nil {
		*c = said
		return errors.Join(err, mistake(s, "device", unknown))
	}
	*c = d.Serial
	err = s.Decode(c) // as before, with the same mistakes
	c.Entities = override(d.Serial.Entities, said.Entities)
	for i, id := range said.Without {
		n := len(c.Entities)
		c.Entities = slices.DeleteFunc(c.Entities, func(e Entity) bool { return e.ID == id })
		if n == len(c.Entities) {
			err = errors.Join(err, mistake(s, fmt.Sprintf("without[%d]", i), fmt.Errorf("%s has no entity %q", d.Name, id)))
		}
	}
	return err
}

// mistake places a mistake within s. What is wrong with a file of devices has its own
// place, which is not one of this configuration.
func mistake(s config.Section, key string, err error) error {
	return config.In(s.Path(), config.Errorf(key, "%w", errors.New(err.Error())))
}

// override returns the entities of a device with what a configuration says of
// some, and those that it adds.
func override(known, said []Entity) []Entity {
	all := slices.Clone(known)
	for _, e := range said {
		i := slices.IndexFunc(all, func(o Entity) bool { return o.ID == e.ID })
		if i < 0 {
			all = append(all, e)
			continue
		}
		to, from := reflect.ValueOf(&all[i]).Elem(), reflect.ValueOf(e)
		for n := range from.NumField() {
			if f := from.Field(n); !f.IsZero() {
				to.Field(n).Set(f)
			}
		}
	}
	return all
}
