package codec

import (
	"os"
	"strings"
	"testing"
)

// dsmr5 is the example of the P1 companion standard of DSMR 5.0.2, §6.13.
func dsmr5(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("testdata/dsmr5.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\n", "\r\n")
}

// dsmr22 is a telegram of a Kamstrup meter by DSMR 2.2, whose gas meter is on two
// lines.
const dsmr22 = "/KMP5 KA6U001660297912\r\n\r\n0-0:96.1.1(204B413655303031363630323937393132)\r\n" +
	"1-0:1.8.1(00024.000*kWh)\r\n1-0:1.7.0(0000.03*kW)\r\n0-0:17.0.0(999*A)\r\n0-0:96.13.0()\r\n0-1:24.1.0(3)\r\n" +
	"0-1:24.3.0(121030140000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00024.123)\r\n0-1:24.4.0(1)\r\n!\r\n"

// readout has the forms of IEC 62056-21 §6.6: reduced codes, values of the months
// before, several in a line, and letters in codes.
const readout = "\x020.0.0(12345678)\r\nF.F(00)\r\n1.8.1(001234.5*kWh)1.8.2(000999.9*kWh)\r\n1.8.1*01(001200.0)\r\n1.8.1*02(001100.0)\r\n" +
	"1-1:1.6.0*09(0.12*kW)(0612011245)\r\nC.1.0(7&)\r\n!\r\n\x03"

func TestOBIS(t *testing.T) {
	type m = map[string]string
	check(t, []sample{
		{name: "DSMR 5", decode: OBIS, frames: []string{dsmr5(t)}, want: m{
			"identification": `ISk5\2MT382-1000`, "0.2.8": "50", "1-0:1.8.1": "123456.789 kWh", "1.8.1": "123456.789 kWh",
			"0-0:1.8.1": "-", "1.7.0": "01.193 kW", "1.0.0": "2010-12-09T11:30:20+01:00", "0-0:96.1.1": "K8EG004046395507",
			"96.14.0": "0002", "99.97.0": "2", "99.97.0/3": "0000000240 s", "99.97.0/2": "2010-12-08T15:24:15+01:00",
			"99.97.0/6": "-", "99.97.0/x": "-", "99.97.0/-1": "-",
			"96.13.0": strings.Repeat("0123456789:;<=>?", 5), "0-1:24.2.1": "12785.123 m3", "0-*:24.2.1": "12785.123 m3",
			"0-gas:24.2.1": "12785.123 m3", "0-water:24.2.1": "-", "0-2:24.2.1": "-", "0-1:24.2.1/0": "2010-12-09T11:25:00+01:00",
			"0-1:96.1.0": "2222ABCD123456789", "32.7.0": "220.1 V", "71.7.0": "003 A", "1-0:62.7.0*255": "06.666 kW", "9.9.9": "-", "": "-",
		}},
		{name: "DSMR 2.2", decode: OBIS, frames: []string{dsmr22}, want: m{
			"1.8.1": "00024.000 kWh", "1.7.0": "0000.03 kW", "96.13.0": "", "0-gas:24.2.1": "00024.123 m3",
			"24.2.1/0": "121030140000", "24.4.0": "1",
		}},
		{name: "readout", decode: OBIS, frames: []string{readout}, want: m{
			"0.0.0": "12345678", "F.F": "00", "1.8.1": "001234.5 kWh", "1.8.2": "000999.9 kWh", "1.8.1*02": "001100.0", "1.8.1*03": "-",
			"1.6.0*09": "0.12 kW", "1.6.0*09/1": "0612011245", "1.6.0*": "-", "1.6.0**": "0.12 kW", "C.1.0": "7&",
		}},
		{name: "a line", decode: OBIS, frames: []string{"1-0:1.7.0(01.193*kW)"}, want: m{"1.7.0": "01.193 kW"}},
		{name: "first line", decode: OBIS, frames: []string{"/ISk5"}, want: m{"identification": "ISk5", "1.7.0": "-"}},
		{name: "nothing", decode: OBIS, frames: []string{"!EF2F"}, err: "has no OBIS code"},
		{name: "open", decode: OBIS, frames: []string{"1.8.0(12\r\n1.8.1(2)"}, err: "bracket that is not closed"},
		{name: "no value", decode: OBIS, frames: []string{"1.8.0\r\n"}, err: "code without a value"},
		{name: "no code", decode: OBIS, frames: []string{"(1)"}, err: "begins with a bracket"},
		{name: "endless", decode: OBIS, frames: []string{"a" + strings.Repeat("()", 1000)}, err: "too many brackets"},
		{name: "many", decode: OBIS, frames: []string{strings.Repeat("1.8.0(1)", 2000)}, err: "too many codes"},
	})
}

// Messages that were recorded at an ISKRA MT631 and an EMH eHZ, with their
// transport. Their checksums are right.
const (
	iskra = "" +
		"1b1b1b1b0101010176050f1a20606200620072630101760101050508b5760b090149534b000403df63010163c4ba0076" +
		"050f1a2061620062007263070177010b090149534b000403df63070100620affff7262016507aff5dc7a77078181c782" +
		"03ff010101010449534b0177070100000009ff010101010b090149534b000403df630177070100010800ff6500000182" +
		"01621e52ff59000000000d637e080177070100010801ff0101621e52ff59000000000d637e080177070100010802ff01" +
		"01621e52ff5900000000000000000177070100100700ff0101621b520055000000a80177070100240700ff0101621b52" +
		"0055000000750177070100380700ff0101621b5200550000001601770701004c0700ff0101621b5200550000001d0177" +
		"078181c78205ff0101010183020c2de05c56024e1cd45280f4a0769a95e629cae205c55c9f1683ca5419778e1d9bcfa1" +
		"c577a6b36a92709ebf05ea21bd01010163291c0076050f1a206262006200726302017101630054001b1b1b1b1a00ae84"
	emh = "" +
		"1b1b1b1b01010101760700190b4cbead6200620072630101760101070019063f3f8f0b0901454d48000041f045010163" +
		"662d00760700190b4cbeae620062007263070177010b0901454d48000041f045070100620affff72620165063f2f3577" +
		"77078181c78203ff0101010104454d480177070100000009ff010101010b0901454d48000041f0450177070100010800" +
		"ff6400018201621e52ff560009247a550177070100010801ff0101621e52ff560009247a550177070100010802ff0101" +
		"621e52ff5600000000000177070100100700ff0101621b52ff55000016030177078181c78205ff0172620165063f2f35" +
		"01018302e77ef33ea97bb6bba9bfa4fbd8b9f2ede51207b15acf6b98a237c21ca4982ee3ce18efe8438f1deba9d5c40e" +
		"b68ae8f201010163574a00760700190b4cbeb16200620072630201710163d658000000001b1b1b1b1a03e566"
)

func TestSML(t *testing.T) {
	type m = map[string]string
	short := "1b1b1b1b01010101" + iskra[16:80]
	inner := iskra[16 : len(iskra)-16]
	list := func(entry string) string { // a message of one value
		return "76050000000162006200726307017701" + "0b0102030405060708090a" + "0101" + "71" + entry + "0101" + "630000" + "00"
	}
	check(t, []sample{
		{name: "ISKRA", decode: SML, frames: []string{string(fromHex(t, iskra))}, want: m{
			"1-0:1.8.0": "22462413.6 Wh", "0100010800ff": "22462413.6 Wh", "1.8.2": "0.0 Wh", "16.7.0": "168 W", "36.7.0": "117 W",
			"129-129:199.130.3": "ISK", "server": "090149534B000403DF63", "2.8.0": "-",
		}},
		{name: "EMH", decode: SML, frames: []string{string(fromHex(t, emh))}, want: m{
			"1.8.0": "15338555.7 Wh", "16.7.0": "563.5 W", "server": "0901454D48000041F045",
		}},
		{name: "inner", decode: SML, frames: []string{string(fromHex(t, inner))}, want: m{"16.7.0": "168 W"}},
		{name: "negative", decode: SML, frames: []string{string(fromHex(t, list("77070100100700ff0101621b52fe53fff801")))}, want: m{"16.7.0": "-0.08 W"}},
		{name: "scaled up", decode: SML, frames: []string{string(fromHex(t, list("77070100100700ff0101621b5202620301")))}, want: m{"16.7.0": "300 W"}},
		{name: "scaler", decode: SML, frames: []string{string(fromHex(t, list("77070100100700ff0101621b527f620301")))}, want: m{"16.7.0": "!the scaler is 127"}},
		{name: "boolean", decode: SML, frames: []string{string(fromHex(t, list("77070100100700ff01010101420101")))}, want: m{"16.7.0": "true"}},
		{name: "no value", decode: SML, frames: []string{string(fromHex(t, list("77070100100700ff01010101010101")))}, want: m{"16.7.0": "-"}},
		{name: "cut", decode: SML, frames: []string{string(fromHex(t, short))}, err: "ends within"},
		{name: "only an opening", decode: SML, frames: []string{string(fromHex(t, "7605000000016200620072630101760101020102020101016300000 0"))}, err: "no list of values"},
		{name: "empty", decode: SML, frames: []string{""}, err: "no list of values"},
		{name: "noise", decode: SML, frames: []string{"\x32"}, err: "type 3"},
		{name: "too long", decode: SML, frames: []string{"\x8f\x8f\x8f\x8f\x8f\x0f"}, err: "too long"},
		{name: "negative length", decode: SML, frames: []string{"\x80\x01"}, err: "negative length"},
		{name: "deep", decode: SML, frames: []string{strings.Repeat("\x71", 100)}, err: "levels deep"},
		{name: "nine bytes", decode: SML, frames: []string{"\x6a123456789"}, err: "type 6 with 9 bytes"},
	})
}

func TestNMEA(t *testing.T) {
	type m = map[string]string
	const (
		rmc   = "$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57" // u-blox M8 protocol specification §31.2.14
		gga   = "$GPGGA,092725.00,4717.11399,N,00833.91590,E,1,08,1.01,499.6,M,48.0,M,,*5B"
		gsa   = "$GPGSA,A,3,23,29,07,08,09,18,26,28,,,,,1.94,1.18,1.54*0D"
		gll   = "$GPGLL,4717.11364,N,00833.91565,E,092321.00,A,A*60"
		vtg   = "$GPVTG,77.52,T,,M,0.004,N,0.008,K,A*06"
		gsv   = "$GPGSV,3,1,10,23,38,230,44,29,71,156,47,07,29,116,41,08,09,081,36*7F"
		south = "$GNRMC,000000,A,3351.5,S,15112.9,W,12.5,1.0,010180,,"
		lost  = "$GNRMC,,V,,,,,,,,,,N*4D"
	)
	check(t, []sample{
		{name: "RMC", decode: NMEA, frames: []string{rmc}, want: m{
			"latitude": "47.2852395 °", "longitude": "8.5652537 °", "speed": "0.004 kn", "course": "77.52 °", "valid": "true",
			"time": "08:35:59.00", "date": "2002-12-09", "datetime": "2002-12-09T08:35:59.00Z", "RMC.latitude": "47.2852395 °",
			"GPRMC.speed": "0.004 kn", "GGA.latitude": "-", "RMC.3": "4717.11437", "GNRMC.3": "-", "altitude": "-", "RMC.99": "-", "RMC.-1": "-",
		}},
		{name: "GGA", decode: NMEA, frames: []string{gga}, want: m{"altitude": "499.6 m", "satellites": "08", "quality": "1", "hdop": "1.01", "geoid": "48.0 m"}},
		{name: "GSA", decode: NMEA, frames: []string{gsa}, want: m{"fix": "3", "pdop": "1.94", "hdop": "1.18", "vdop": "1.54"}},
		{name: "GLL", decode: NMEA, frames: []string{gll}, want: m{"latitude": "47.2852273 °", "valid": "true", "time": "09:23:21.00"}},
		{name: "VTG", decode: NMEA, frames: []string{vtg}, want: m{"speed": "0.004 kn", "course": "77.52 °"}},
		{name: "GSV", decode: NMEA, frames: []string{gsv}, want: m{"in_view": "10", "GPGSV.in_view": "10", "GLGSV.in_view": "-"}},
		{name: "south, no checksum", decode: NMEA, frames: []string{south}, want: m{"latitude": "-33.8583333 °", "longitude": "-151.2150000 °", "date": "1980-01-01"}},
		{name: "no fix", decode: NMEA, frames: []string{lost}, want: m{"latitude": "!the receiver has no fix", "valid": "false", "time": "-", "datetime": "-", "date": "-"}},
		{name: "nonsense", decode: NMEA, frames: []string{"$GPRMC,1,A,4760.0,N,xx,E,,,"}, want: m{"latitude": "-", "longitude": "-"}},
		{name: "wrong checksum", decode: NMEA, frames: []string{rmc[:len(rmc)-1] + "8"}, err: `has the checksum "58", not 57`},
		{name: "no checksum behind the star", decode: NMEA, frames: []string{"$GPRMC*"}, err: "has the checksum"},
		{name: "text", decode: NMEA, frames: []string{"boot"}, err: "does not begin with $"},
		{name: "no address", decode: NMEA, frames: []string{"$,1"}, err: "no address"},
		{name: "small letters", decode: NMEA, frames: []string{"$gprmc,1"}, err: "no address"},
		{name: "endless", decode: NMEA, frames: []string{"$GPRMC" + strings.Repeat(",", 999)}, err: "too many fields"},
	})
}

func FuzzMeters(f *testing.F) {
	for _, s := range []string{dsmr5(f), dsmr22, readout, string(fromHex(f, iskra)), string(fromHex(f, emh)), "$GPRMC,083559.00,A,4717.11437,N,00833.91522,E,0.004,77.52,091202,,,A*57"} {
		f.Add([]byte(s), "1.8.0")
		f.Add([]byte(s), "0-gas:24.2.1/1")
		f.Add([]byte(s), "latitude")
	}
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		for _, decode := range []Decoder{OBIS, SML, NMEA} {
			get, err := decode(b)
			if err != nil {
				continue
			}
			if v, ok := get(key); !ok && v.Text != "" || v.Trouble != "" && v.Text != "" {
				t.Errorf("%q of %q is %+v, %t", key, b, v, ok)
			}
		}
	})
}
