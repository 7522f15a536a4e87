package frame

import (
	"slices"
	"strings"
)

// A named is a CRC of the catalogue.
type named struct {
	name string
	CRC
}

// catalogue lists the CRCs that are known by name, with the parameters that
// G. Cook's "Catalogue of parametrised CRC algorithms"
// (https://reveng.sourceforge.io/crc-catalogue/all.htm) gives them; its check
// values are in the test.
var catalogue = []named{
	{"CRC-8/AUTOSAR", CRC{8, 0x2f, 0xff, false, 0xff}},
	{"CRC-8/BLUETOOTH", CRC{8, 0xa7, 0, true, 0}},
	{"CRC-8/CDMA2000", CRC{8, 0x9b, 0xff, false, 0}},
	{"CRC-8/DARC", CRC{8, 0x39, 0, true, 0}},
	{"CRC-8/DVB-S2", CRC{8, 0xd5, 0, false, 0}},
	{"CRC-8/GSM-A", CRC{8, 0x1d, 0, false, 0}},
	{"CRC-8/I-432-1", CRC{8, 0x07, 0, false, 0x55}},
	{"CRC-8/LTE", CRC{8, 0x9b, 0, false, 0}},
	{"CRC-8/MAXIM-DOW", CRC{8, 0x31, 0, true, 0}},
	{"CRC-8/NRSC-5", CRC{8, 0x31, 0xff, false, 0}},
	{"CRC-8/OPENSAFETY", CRC{8, 0x2f, 0, false, 0}},
	{"CRC-8/ROHC", CRC{8, 0x07, 0xff, true, 0}},
	{"CRC-8/SAE-J1850", CRC{8, 0x1d, 0xff, false, 0xff}},
	{"CRC-8/SMBUS", CRC{8, 0x07, 0, false, 0}},
	{"CRC-8/TECH-3250", CRC{8, 0x1d, 0xff, true, 0}},
	{"CRC-8/WCDMA", CRC{8, 0x9b, 0, true, 0}},
	{"CRC-16/ARC", CRC{16, 0x8005, 0, true, 0}},
	{"CRC-16/CDMA2000", CRC{16, 0xc867, 0xffff, false, 0}},
	{"CRC-16/CMS", CRC{16, 0x8005, 0xffff, false, 0}},
	{"CRC-16/DDS-110", CRC{16, 0x8005, 0x800d, false, 0}},
	{"CRC-16/DNP", CRC{16, 0x3d65, 0, true, 0xffff}},
	{"CRC-16/EN-13757", CRC{16, 0x3d65, 0, false, 0xffff}},
	{"CRC-16/GENIBUS", CRC{16, 0x1021, 0xffff, false, 0xffff}},
	{"CRC-16/GSM", CRC{16, 0x1021, 0, false, 0xffff}},
	{"CRC-16/IBM-3740", CRC{16, 0x1021, 0xffff, false, 0}},
	{"CRC-16/IBM-SDLC", CRC{16, 0x1021, 0xffff, true, 0xffff}},
	{"CRC-16/KERMIT", CRC{16, 0x1021, 0, true, 0}},
	{"CRC-16/LJ1200", CRC{16, 0x6f63, 0, false, 0}},
	{"CRC-16/MAXIM-DOW", CRC{16, 0x8005, 0, true, 0xffff}},
	{"CRC-16/MCRF4XX", CRC{16, 0x1021, 0xffff, true, 0}},
	{"CRC-16/MODBUS", CRC{16, 0x8005, 0xffff, true, 0}},
	{"CRC-16/PROFIBUS", CRC{16, 0x1dcf, 0xffff, false, 0xffff}},
	{"CRC-16/RIELLO", CRC{16, 0x1021, 0xb2aa, true, 0}},
	{"CRC-16/SPI-FUJITSU", CRC{16, 0x1021, 0x1d0f, false, 0}},
	{"CRC-16/T10-DIF", CRC{16, 0x8bb7, 0, false, 0}},
	{"CRC-16/TELEDISK", CRC{16, 0xa097, 0, false, 0}},
	{"CRC-16/TMS37157", CRC{16, 0x1021, 0x89ec, true, 0}},
	{"CRC-16/UMTS", CRC{16, 0x8005, 0, false, 0}},
	{"CRC-16/USB", CRC{16, 0x8005, 0xffff, true, 0xffff}},
	{"CRC-16/XMODEM", CRC{16, 0x1021, 0, false, 0}},
	{"CRC-24/BLE", CRC{24, 0x00065b, 0x555555, true, 0}},
	{"CRC-24/OPENPGP", CRC{24, 0x864cfb, 0xb704ce, false, 0}},
	{"CRC-32/AIXM", CRC{32, 0x814141ab, 0, false, 0}},
	{"CRC-32/AUTOSAR", CRC{32, 0xf4acfb13, 0xffffffff, true, 0xffffffff}},
	{"CRC-32/BASE91-D", CRC{32, 0xa833982b, 0xffffffff, true, 0xffffffff}},
	{"CRC-32/BZIP2", CRC{32, 0x04c11db7, 0xffffffff, false, 0xffffffff}},
	{"CRC-32/CKSUM", CRC{32, 0x04c11db7, 0, false, 0xffffffff}},
	{"CRC-32/ISCSI", CRC{32, 0x1edc6f41, 0xffffffff, true, 0xffffffff}},
	{"CRC-32/ISO-HDLC", CRC{32, 0x04c11db7, 0xffffffff, true, 0xffffffff}},
	{"CRC-32/JAMCRC", CRC{32, 0x04c11db7, 0xffffffff, true, 0}},
	{"CRC-32/MPEG-2", CRC{32, 0x04c11db7, 0xffffffff, false, 0}},
	{"CRC-32/XFER", CRC{32, 0x000000af, 0, false, 0}},
}

// aliases are other names that the catalogue gives, those that data sheets use.
var aliases = [][2]string{
	{"CRC-8", "CRC-8/SMBUS"},
	{"CRC-8/DALLAS", "CRC-8/MAXIM-DOW"},
	{"CRC-8/MAXIM", "CRC-8/MAXIM-DOW"},
	{"CRC-8/ITU", "CRC-8/I-432-1"},
	{"CRC-16", "CRC-16/ARC"},
	{"CRC-16/IBM", "CRC-16/ARC"},
	{"CRC-16/AUTOSAR", "CRC-16/IBM-3740"},
	{"CRC-16/CCITT", "CRC-16/KERMIT"},
	{"CRC-16/CCITT-TRUE", "CRC-16/KERMIT"},
	{"CRC-16/CCITT-FALSE", "CRC-16/IBM-3740"},
	{"CRC-16/X-25", "CRC-16/IBM-SDLC"},
	{"CRC-16/MAXIM", "CRC-16/MAXIM-DOW"},
	{"CRC-16/BUYPASS", "CRC-16/UMTS"},
	{"CRC-16/ACORN", "CRC-16/XMODEM"},
	{"CRC-24", "CRC-24/OPENPGP"},
	{"CRC-32", "CRC-32/ISO-HDLC"},
	{"CRC-32C", "CRC-32/ISCSI"},
}

// findCRC looks a CRC up by its name, in any case.
func findCRC(name string) (CRC, bool) {
	name = strings.ToUpper(name)
	for _, a := range aliases {
		if a[0] == name {
			name = a[1]
		}
	}
	i := slices.IndexFunc(catalogue, func(n named) bool { return n.name == name })
	if i < 0 {
		return CRC{}, false
	}
	return catalogue[i].CRC, true
}
