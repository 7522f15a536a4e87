package modbus_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edge/internal/modbus"
)

// bin is bytes as a specification shows them.
func bin(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return b
}

// kindOf returns the kind of a *FrameError, or what else the error says.
func kindOf(err error) string {
	var e *modbus.FrameError
	switch {
	case errors.As(err, &e):
		return string(e.Kind)
	case err != nil:
		return err.Error()
	}
	return ""
}

// frames are the same in both directions.
var frames = []struct {
	source  string
	framing modbus.Framing
	frame   string // ASCII as text
	unit    byte
	pdu     string
}{
	{"Modicon PI-MBUS-300 rev. J, appendix C: CRC 1241 of 02 07", modbus.RTU, "02 07 41 12", 2, "07"},
	{"Eastron SDM630 Modbus Protocol, §2.3: phase 1 and 2 line to neutral volts", modbus.RTU, "01 04 00 00 00 04 F1 C9", 1, "04 00 00 00 04"},
	{"SL §2.5.2.2: F7+03+13+89+00+0A = 1A0", modbus.ASCII, ":F7031389000A60\r\n", 0xF7, "03 13 89 00 0A"},
	{"SL §2.5.2.2: LRC is the two's complement of the sum", modbus.ASCII, ":1103006B00037E\r\n", 17, "03 00 6B 00 03"},
	{"TG §4.4.2: transaction 15 01, unit FF", modbus.TCP, "15 01 00 00 00 06 FF 03 00 04 00 01", 0xFF, "03 00 04 00 01"},
}

func TestFrames(t *testing.T) {
	for _, tt := range frames {
		want := []byte(tt.frame)
		if tt.framing != modbus.ASCII {
			want = bin(t, tt.frame)
		}
		pdu := bin(t, tt.pdu)
		got, err := modbus.AppendFrame(nil, tt.framing, 0x1501, tt.unit, pdu)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: AppendFrame = % X, %v, want % X", tt.source, got, err, want)
		}
		unit, back, err := decode(tt.framing, want)
		if err != nil || unit != tt.unit || !bytes.Equal(back, pdu) {
			t.Errorf("%s: decoded unit %d, % X, %v, want %d, % X", tt.source, unit, back, err, tt.unit, pdu)
		}
	}
}

func decode(f modbus.Framing, b []byte) (byte, modbus.PDU, error) {
	switch f {
	case modbus.RTU:
		return modbus.DecodeRTU(b)
	case modbus.ASCII:
		return modbus.DecodeASCII(b)
	}
	frame, _, err := modbus.DecodeTCP(b)
	return frame.Unit, frame.PDU, err
}

func TestBadFrames(t *testing.T) {
	long := strings.Repeat("00", 256)
	for _, tt := range []struct {
		framing modbus.Framing
		frame   string
		want    string
	}{
		{modbus.RTU, "02 07 41 13", string(modbus.Checksum)},
		{modbus.RTU, "02 41 12", string(modbus.Short)},
		{modbus.RTU, long + "00", string(modbus.Checksum)},
		{modbus.TCP, "15 01 00 01", string(modbus.Header)},             // protocol 1
		{modbus.TCP, "15 01 00 00 00 01 FF", string(modbus.Header)},    // no function code
		{modbus.TCP, "15 01 00 00 00 FF FF 03", string(modbus.Header)}, // PDU of 254 bytes
		{modbus.TCP, "15 01 00 00 00 FE FF 03", ""},                    // of 253, and not complete
		{modbus.ASCII, hex.EncodeToString([]byte(":0207F6\r\n")), string(modbus.Checksum)},
		{modbus.ASCII, hex.EncodeToString([]byte(":0207F7\n")), string(modbus.Short)},
		{modbus.ASCII, hex.EncodeToString([]byte(":02070F7\r\n")), string(modbus.Checksum)}, // odd
		{modbus.ASCII, hex.EncodeToString([]byte("02070AED\r\n")), string(modbus.Checksum)}, // no colon
	} {
		_, pdu, err := decode(tt.framing, bin(t, tt.frame))
		if got := kindOf(err); got != tt.want || err == nil && pdu != nil {
			t.Errorf("%s %s: % X, %q, want %q", tt.framing, tt.frame, pdu, got, tt.want)
		}
	}
	if _, err := modbus.AppendFrame(nil, modbus.RTU, 0, 1, make(modbus.PDU, 254)); err == nil {
		t.Error("a PDU of 254 bytes was framed")
	}
	if _, err := modbus.AppendFrame(nil, "rtu2", 0, 1, modbus.PDU{1}); err == nil {
		t.Error("framing rtu2 is known")
	}
}

func TestErrorsAreShort(t *testing.T) {
	_, _, err := modbus.DecodeRTU(make([]byte, 250))
	if got := err.Error(); len(got) > 200 || !strings.HasSuffix(got, "(250 bytes)") {
		t.Errorf("Error() = %q", got)
	}
	for e, want := range map[modbus.Exception]string{
		2:  "illegal data address (exception 2)",
		11: "gateway target failed to respond (exception 11)",
		7:  "unknown reason (exception 7)",
		99: "unknown reason (exception 99)",
	} {
		if e.Error() != want {
			t.Errorf("%q, want %q", e.Error(), want)
		}
	}
}

// requests are the examples of AP §6, and what each says.
var requests = []struct {
	section string
	pdu     string
	want    modbus.Request
}{
	{"6.1", "01 00 13 00 13", modbus.Request{Function: modbus.ReadCoils, Address: 19, Count: 19}},
	{"6.2", "02 00 C4 00 16", modbus.Request{Function: modbus.ReadDiscreteInputs, Address: 196, Count: 22}},
	{"6.3", "03 00 6B 00 03", modbus.Request{Function: modbus.ReadHoldingRegisters, Address: 107, Count: 3}},
	{"6.4", "04 00 08 00 01", modbus.Request{Function: modbus.ReadInputRegisters, Address: 8, Count: 1}},
	{"6.5", "05 00 AC FF 00", modbus.Request{Function: modbus.WriteSingleCoil, Address: 172, Count: 1, Bits: []bool{true}}},
	{"6.5", "05 00 AC 00 00", modbus.Request{Function: modbus.WriteSingleCoil, Address: 172, Count: 1, Bits: []bool{false}}},
	{"6.6", "06 00 01 00 03", modbus.Request{Function: modbus.WriteSingleRegister, Address: 1, Count: 1, Registers: []uint16{3}}},
	{"6.11", "0F 00 13 00 0A 02 CD 01", modbus.Request{
		Function: modbus.WriteMultipleCoils, Address: 19, Count: 10,
		Bits: []bool{true, false, true, true, false, false, true, true, true, false},
	}},
	{"6.12", "10 00 01 00 02 04 00 0A 01 02", modbus.Request{
		Function: modbus.WriteMultipleRegisters, Address: 1, Count: 2, Registers: []uint16{0x000A, 0x0102},
	}},
	{"6.16", "16 00 04 00 F2 00 25", modbus.Request{Function: modbus.MaskWriteRegister, Address: 4, Count: 1, And: 0xF2, Or: 0x25}},
	{"6.17", "17 00 03 00 06 00 0E 00 03 06 00 FF 00 FF 00 FF", modbus.Request{
		Function: modbus.ReadWriteMultipleRegisters, Address: 3, Count: 6, WriteAddress: 14, Registers: []uint16{0xFF, 0xFF, 0xFF},
	}},
	{"6.21", "2B 0E 01 00", modbus.Request{Function: modbus.EncapsulatedInterface, Level: modbus.Basic}},
}

func TestRequests(t *testing.T) {
	for _, tt := range requests {
		pdu := bin(t, tt.pdu)
		got, err := modbus.ParseRequest(pdu)
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("AP §%s: ParseRequest: %v (-want +got):\n%s", tt.section, err, diff)
		}
		back, err := tt.want.PDU()
		if err != nil || !bytes.Equal(back, pdu) {
			t.Errorf("AP §%s: PDU = % X, %v, want % X", tt.section, back, err, pdu)
		}
	}
}

func TestRequestsOfAClientAreChecked(t *testing.T) {
	for _, r := range []modbus.Request{
		{Function: 99},
		{Function: modbus.ReadCoils},
		{Function: modbus.ReadHoldingRegisters, Count: 126},
		{Function: modbus.ReadHoldingRegisters, Address: 65530, Count: 7},
		{Function: modbus.WriteMultipleRegisters, Registers: make([]uint16, 124)},
		{Function: modbus.WriteSingleCoil},
		{Function: modbus.EncapsulatedInterface, Level: 5},
	} {
		pdu, err := r.PDU()
		var e modbus.Exception
		if err == nil || errors.As(err, &e) {
			t.Errorf("PDU of %+v = % X, %v; want an error that no unit sent", r, pdu, err)
		}
	}
}

// Frames are made and checked without the heap: a bus is polled for years.
func TestFramesAllocateNothing(t *testing.T) {
	pdu, b := modbus.PDU(bin(t, "04 00 00 00 04")), make([]byte, 0, 600)
	for name, do := range map[string]func(){
		"CRC": func() { _ = modbus.CRC(pdu) },
		"RTU": func() {
			b = modbus.AppendRTU(b[:0], 1, pdu)
			if _, _, err := modbus.DecodeRTU(b); err != nil {
				t.Error(err)
			}
		},
		"ASCII": func() { b = modbus.AppendASCII(b[:0], 1, pdu) },
		"TCP": func() {
			b = modbus.AppendTCP(b[:0], 1, 1, pdu)
			if _, _, err := modbus.DecodeTCP(b); err != nil {
				t.Error(err)
			}
		},
	} {
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
}
