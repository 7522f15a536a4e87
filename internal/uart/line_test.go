package uart

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/tarm/serial"
	"golang.org/x/sys/unix"
)

// The pointer in file rests on this.
func TestTarmPortIsOneFile(t *testing.T) {
	typ := reflect.TypeFor[serial.Port]()
	if typ.NumField() != 1 || typ.Field(0).Type != reflect.TypeFor[*os.File]() {
		t.Fatalf("serial.Port is %v with %d fields, want one *os.File", typ, typ.NumField())
	}
}

// A fakeLine is a driver: what it cannot do, it changes or refuses.
type fakeLine struct {
	t       unix.Termios
	refuse  map[uint]error
	nearest uint32 // the only rate, if not 0
	noWires bool
	sets    []uint

	noMarks bool // no CMSPAR
	modem   int32
	asked   []uint // by call
	rs485   serialRS485
	rs485Is func(*serialRS485) // what the driver makes of a request
	serial  serialStruct
	counted icounter
}

func (l *fakeLine) call(request uint, arg unsafe.Pointer) error {
	l.asked = append(l.asked, request)
	if err := l.refuse[request]; err != nil {
		return err
	}
	switch request {
	case unix.TIOCMBIS:
		l.modem |= *(*int32)(arg)
	case unix.TIOCMBIC:
		l.modem &^= *(*int32)(arg)
	case unix.TIOCMGET:
		*(*int32)(arg) = l.modem
	case unix.TIOCSRS485:
		if l.rs485 = *(*serialRS485)(arg); l.rs485Is != nil {
			l.rs485Is(&l.rs485)
		}
		*(*serialRS485)(arg) = l.rs485
	case unix.TIOCGSERIAL:
		*(*serialStruct)(arg) = l.serial
	case unix.TIOCSSERIAL:
		l.serial = *(*serialStruct)(arg)
	case unix.TIOCGICOUNT:
		*(*icounter)(arg) = l.counted
	}
	return nil
}

func (l *fakeLine) get(request uint) (*unix.Termios, error) {
	t := l.t
	return &t, l.refuse[request]
}

func (l *fakeLine) set(request uint, t *unix.Termios) error {
	if err := l.refuse[request]; err != nil {
		return err
	}
	l.sets = append(l.sets, request)
	l.t = *t
	if l.nearest != 0 {
		l.t.Ospeed = l.nearest
	}
	if l.noWires {
		l.t.Cflag &^= unix.CRTSCTS
	}
	if l.noMarks {
		l.t.Cflag &^= unix.CMSPAR
	}
	return nil
}

func TestTune(t *testing.T) {
	old := map[uint]error{unix.TCGETS2: unix.ENOSYS, unix.TCSETS2: unix.ENOSYS}
	for _, tt := range []struct {
		name string
		line fakeLine
		cfg  Config
		err  string
		sets []uint
	}{
		{name: "nothing to do", cfg: Config{Baud: 9600}},
		{name: "any rate", cfg: Config{Baud: 250000}, sets: []uint{unix.TCSETS2}},
		{name: "near enough", cfg: Config{Baud: 74880}, line: fakeLine{nearest: 75000}, sets: []uint{unix.TCSETS2}},
		{
			name: "too far", cfg: Config{Baud: 31250}, line: fakeLine{nearest: 38400}, sets: []uint{unix.TCSETS2},
			err: "set 31250 baud: the adapter cannot; the nearest that it can is 38400",
		},
		{name: "no termios2", cfg: Config{Baud: 250000}, line: fakeLine{refuse: old}, err: "take one of the rates"},
		{name: "wires", cfg: Config{Baud: 115200, Flow: RTSCTS}, sets: []uint{unix.TCSETS2}},
		{name: "wires without termios2", cfg: Config{Baud: 115200, Flow: RTSCTS}, line: fakeLine{refuse: old}, sets: []uint{unix.TCSETS}},
		{
			name: "no wires", cfg: Config{Baud: 115200, Flow: RTSCTS}, line: fakeLine{noWires: true}, sets: []uint{unix.TCSETS2},
			err: "set flow control rtscts: the adapter has no such wires",
		},
		{name: "mark", cfg: Config{Baud: 9600, Parity: MarkParity}, sets: []uint{unix.TCSETS2}},
		{
			name: "no mark", cfg: Config{Baud: 9600, Parity: SpaceParity}, line: fakeLine{noMarks: true}, sets: []uint{unix.TCSETS2},
			err: "set parity space: the adapter cannot",
		},
		{name: "even without termios2", cfg: Config{Baud: 9600, Parity: EvenParity}, line: fakeLine{refuse: old}, sets: []uint{unix.TCSETS}},
		{name: "both", cfg: Config{Baud: 250000, Flow: XONXOFF}, sets: []uint{unix.TCSETS2, unix.TCSETS2}},
	} {
		err := tune(&tt.line, tt.cfg.withDefaults())
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: tune = %v, want %q", tt.name, err, tt.err)
		}
		if !reflect.DeepEqual(tt.line.sets, tt.sets) {
			t.Errorf("%s: requests %#x, want %#x", tt.name, tt.line.sets, tt.sets)
		}
		if want := tt.cfg.Flow == RTSCTS && !tt.line.noWires; (tt.line.t.Cflag&unix.CRTSCTS != 0) != want {
			t.Errorf("%s: CRTSCTS is %t, want %t", tt.name, !want, want)
		}
	}
	if err := setRate(&fakeLine{refuse: old}, 250000); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("setRate without TCSETS2: %v, want %v", err, errors.ErrUnsupported)
	}
}

func TestRatesAreTarms(t *testing.T) {
	for _, baud := range rates {
		_, err := serial.OpenPort(&serial.Config{Name: "/nonexistent", Baud: baud})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("tarm does not know %d baud: %v", baud, err)
		}
	}
}
