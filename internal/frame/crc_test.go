package frame

import "testing"

// checks are the checksums of "123456789" as in the catalogue of which
// catalogue.go tells.
var checks = map[string]uint32{
	"CRC-8/AUTOSAR": 0xdf, "CRC-8/BLUETOOTH": 0x26, "CRC-8/CDMA2000": 0xda, "CRC-8/DARC": 0x15,
	"CRC-8/DVB-S2": 0xbc, "CRC-8/GSM-A": 0x37, "CRC-8/I-432-1": 0xa1, "CRC-8/LTE": 0xea,
	"CRC-8/MAXIM-DOW": 0xa1, "CRC-8/NRSC-5": 0xf7, "CRC-8/OPENSAFETY": 0x3e, "CRC-8/ROHC": 0xd0,
	"CRC-8/SAE-J1850": 0x4b, "CRC-8/SMBUS": 0xf4, "CRC-8/TECH-3250": 0x97, "CRC-8/WCDMA": 0x25,
	"CRC-16/ARC": 0xbb3d, "CRC-16/CDMA2000": 0x4c06, "CRC-16/CMS": 0xaee7, "CRC-16/DDS-110": 0x9ecf,
	"CRC-16/DNP": 0xea82, "CRC-16/EN-13757": 0xc2b7, "CRC-16/GENIBUS": 0xd64e, "CRC-16/GSM": 0xce3c,
	"CRC-16/IBM-3740": 0x29b1, "CRC-16/IBM-SDLC": 0x906e, "CRC-16/KERMIT": 0x2189, "CRC-16/LJ1200": 0xbdf4,
	"CRC-16/MAXIM-DOW": 0x44c2, "CRC-16/MCRF4XX": 0x6f91, "CRC-16/MODBUS": 0x4b37, "CRC-16/PROFIBUS": 0xa819,
	"CRC-16/RIELLO": 0x63d0, "CRC-16/SPI-FUJITSU": 0xe5cc, "CRC-16/T10-DIF": 0xd0db, "CRC-16/TELEDISK": 0x0fb3,
	"CRC-16/TMS37157": 0x26b1, "CRC-16/UMTS": 0xfee8, "CRC-16/USB": 0xb4c8, "CRC-16/XMODEM": 0x31c3,
	"CRC-24/BLE": 0xc25a56, "CRC-24/OPENPGP": 0x21cf02,
	"CRC-32/AIXM": 0x3010bf7f, "CRC-32/AUTOSAR": 0x1697d06a, "CRC-32/BASE91-D": 0x87315576, "CRC-32/BZIP2": 0xfc891918,
	"CRC-32/CKSUM": 0x765e7680, "CRC-32/ISCSI": 0xe3069283, "CRC-32/ISO-HDLC": 0xcbf43926, "CRC-32/JAMCRC": 0x340bc6d9,
	"CRC-32/MPEG-2": 0x0376e6e7, "CRC-32/XFER": 0xbd0be338,
}

func TestCatalogue(t *testing.T) {
	if len(checks) != len(catalogue) {
		t.Errorf("%d check values for %d CRCs", len(checks), len(catalogue))
	}
	for _, n := range catalogue {
		c := newCRC(n.CRC)
		// In two steps, so that the register goes on as it was.
		r := c.update(c.update(c.start, []byte("1234")), []byte("56789"))
		if got, want := c.finish(r), checks[n.name]; got != want {
			t.Errorf("%s of 123456789 = %#x, want %#x", n.name, got, want)
		}
	}
}

func TestAliases(t *testing.T) {
	for _, a := range aliases {
		alias, name := a[0], a[1]
		got, ok := findCRC(alias)
		want, there := findCRC(name)
		if !ok || !there || got != want {
			t.Errorf("findCRC(%q) = %+v, %t, want %+v as of %s", alias, got, ok, want, name)
		}
	}
	if _, ok := findCRC("crc-16/modbus"); !ok {
		t.Error("a name in small letters is not found")
	}
	if c, ok := findCRC("CRC-16/NOBODY"); ok {
		t.Errorf("findCRC of a name that is not there = %+v", c)
	}
}
