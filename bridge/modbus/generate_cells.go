package modbus

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"edge/bridge"
)

// tableOf reads a table, or the function code that reads it.
func (g *generator) tableOf(text string) Table {
	letters := strings.TrimLeft(strings.TrimPrefix(lettersOf(text), "fc"), "0")
	for table, names := range map[Table][]string{
		Coil:     {"coil", "coils", "co", "1", "x"},
		Discrete: {"discrete", "discreteinput", "discreteinputs", "di", "2", "1x"},
		Holding:  {"holding", "holdingregister", "holdingregisters", "hr", "3", "4x", ""},
		Input:    {"input", "inputregister", "inputregisters", "ir", "4", "3x"},
	} {
		if slices.Contains(names, letters) {
			return table
		}
	}
	g.errorf("table", "%q is no table; want coil, discrete, input, holding, or the function code that reads it", text)
	return Holding
}

// addressOf reads an address: 70, 0x46, 46h, or two such, 70-71, which also say how
// many registers there are. With fromOne it is a number such as 30071, which also says
// what table it is in.
func (g *generator) addressOf(text string, table *Table) (address *uint16, size int) {
	first, last, two := strings.Cut(strings.ReplaceAll(text, "–", "-"), "-")
	v, digits, err := g.wholeOf(first)
	if two && err == nil {
		var end uint64
		end, _, err = g.wholeOf(last)
		size = int(end-v) + 1
	}
	if g.fromOne && digits > 0 && err == nil {
		v = numberOf(v, digits, table)
	}
	if err != nil || v > 0xFFFF || size < 0 || size > maxString {
		g.errorf("address", "%q is no address, 0 to 65535", text)
		return nil, 0
	}
	at := uint16(v)
	return &at, size
}

// wholeOf reads a number; digits is 0 if it is hexadecimal.
func (g *generator) wholeOf(text string) (v uint64, digits int, err error) {
	text = strings.ToLower(strings.TrimSpace(text))
	hex, ok := strings.CutPrefix(text, "0x")
	if !ok {
		hex, ok = strings.CutSuffix(text, "h")
	}
	if ok || strings.Contains(g.columns["address"].note, "hex") {
		v, err = strconv.ParseUint(hex, 16, 24)
		return v, 0, err
	}
	v, err = strconv.ParseUint(text, 10, 24)
	return v, len(text), err
}

// numberOf turns a register number that counts from 1 into an address. With five or
// six digits the first one names the table: 30001 or 300001 is the first input register.
func numberOf(v uint64, digits int, table *Table) uint64 {
	tables := map[uint64]Table{0: Coil, 1: Discrete, 3: Input, 4: Holding}
	unit := map[int]uint64{5: 10000, 6: 100000}[digits]
	if unit > 0 {
		if named, ok := tables[v/unit]; ok && v%unit > 0 {
			*table, v = named, v%unit
		}
	}
	return v - 1 // 0 is no number: it becomes too large.
}

// sizeOf returns a number of registers: what the address says, if nothing else does,
// or 0.
func (g *generator) sizeOf(text string, fromAddress int) int {
	if text == "" {
		return fromAddress
	}
	n, err := strconv.Atoi(text)
	if strings.Contains(g.columns["size"].note, "byte") {
		n /= 2
	}
	if err != nil || n < 1 || n > maxString {
		g.errorf("size", "%q is no number of registers, 1 to %d", text, maxString)
		return 0
	}
	return n
}

// formatsOf are the formats by how documents call them; * is followed by the size.
var formatsOf = map[string]Format{
	"u16": U16, "uint16": U16, "ushort": U16, "word": U16, "unsigned16": U16, "unsigned*1": U16, "uint*1": U16, "enum16": U16, "bitfield16": U16, "hex": U16,
	"s16": S16, "int16": S16, "short": S16, "signed16": S16, "signed*1": S16, "int*1": S16, "integer*1": S16, "i16": S16, "sint16": S16,
	"u32": U32, "uint32": U32, "ulong": U32, "dword": U32, "unsigned32": U32, "unsigned*2": U32, "uint*2": U32, "unsignedlong": U32, "acc32": U32,
	"s32": S32, "int32": S32, "long": S32, "signed32": S32, "signed*2": S32, "int*2": S32, "integer*2": S32, "i32": S32, "sint32": S32,
	"u64": U64, "uint64": U64, "unsigned64": U64, "unsigned*4": U64, "uint*4": U64,
	"s64": S64, "int64": S64, "signed64": S64, "signed*4": S64, "int*4": S64, "integer*4": S64, "i64": S64,
	"f32": F32, "float": F32, "float32": F32, "real": F32, "real32": F32, "ieee754": F32, "single": F32,
	"f64": F64, "double": F64, "float64": F64, "real64": F64,
	"bcd": BCD16, "bcd16": BCD16, "bcd*2": BCD32, "bcd32": BCD32,
	"string": String, "ascii": String, "char": String, "text": String, "utf8": String,
	"bool": Bool, "boolean": Bool, "bit": Bool,
}

// formatOf reads the type of a number. What is in a coil needs none.
func (g *generator) formatOf(text string, size int, e *Entity) Format {
	if e.Table == Coil || e.Table == Discrete {
		return ""
	}
	letters := typeOf(text)
	f, ok := formatsOf[letters+"*"+strconv.Itoa(cmp.Or(size, 1))]
	if !ok {
		f, ok = formatsOf[letters]
	}
	switch {
	case !ok:
		g.errorf("type", "%q is no type that is known, such as uint16, int32 or float", text)
	case f == String:
		e.Length = size
	case size > 0 && size != f.registers(0):
		g.errorf("size", "%q has %d registers, not %d", text, f.registers(0), size)
	}
	return f
}

// typeOf writes a type as formatsOf has it: "16-bit unsigned integer" is uint16.
func typeOf(text string) string {
	letters := strings.NewReplacer("bits", "", "bit", "", "integer", "int", "floatingpoint", "float").Replace(lettersOf(text))
	if text := lettersOf(text); text == "bit" || text == "" {
		return cmp.Or(text, "unsigned")
	}
	if kind := strings.TrimLeft(letters, "0123456789"); kind != "" {
		letters = kind + letters[:len(letters)-len(kind)]
	}
	letters = strings.Replace(letters, "unsignedint", "uint", 1)
	return strings.Replace(letters, "signedint", "int", 1)
}

func (g *generator) orderOf(text string) Order {
	switch letters := lettersOf(text); letters {
	case "", "big", "abcd", "bigendian", "ab":
		return ""
	case "word", "cdab", "wordswap", "lowwordfirst", "lswmsw":
		return Word
	case "byte", "badc", "byteswap":
		return Byte
	case "little", "dcba", "littleendian", "ba":
		return Little
	}
	g.errorf("order", "%q is no order; want ABCD, CDAB, BADC or DCBA", text)
	return ""
}

// scaleOf reads 0.1, 0,1, x0.1, 1/10, or a divisor.
func (g *generator) scaleOf(scale, divisor string) float64 {
	v := g.factorOf("scale", scale)
	if d := g.factorOf("divisor", divisor); d != 0 {
		v = cmp.Or(v, 1) / d
	}
	if v == 1 {
		return 0
	}
	return v
}

func (g *generator) factorOf(key, text string) float64 {
	if text == "" || text == "-" {
		return 0
	}
	plain := strings.TrimLeft(strings.ReplaceAll(text, ",", "."), "xX×* ")
	over, under, fraction := strings.Cut(plain, "/")
	v, err := parseNumber(strings.TrimSpace(over))
	if fraction && err == nil {
		var d float64
		if d, err = parseNumber(strings.TrimSpace(under)); d != 0 {
			v /= d
		}
	}
	if err != nil || v == 0 {
		g.errorf(key, "%q is no factor, such as 0.1", text)
		return 0
	}
	return v
}

// unitOf writes a unit as it is usual.
func unitOf(text string) string {
	for unit, names := range map[string][]string{
		"":      {"-", "none", "n/a", "--"},
		"V":     {"volt", "volts"},
		"A":     {"amp", "amps", "ampere"},
		"W":     {"watt", "watts"},
		"var":   {"var"},
		"kvar":  {"kvar"},
		"varh":  {"varh"},
		"kvarh": {"kvarh"},
		"Hz":    {"hertz", "hz"},
		"°C":    {"c", "℃", "degc", "deg c", "° c"},
		"°":     {"degrees", "degree", "deg"},
	} {
		if slices.Contains(names, strings.ToLower(text)) {
			return unit
		}
	}
	return text
}

// classOf returns the class and the class of states that a unit stands for.
func classOf(unit string) (string, bridge.StateClass) {
	for class, units := range map[string][]string{
		"apparent_power": {"VA", "kVA"},
		"current":        {"A", "mA"},
		"frequency":      {"Hz"},
		"power":          {"W", "kW"},
		"reactive_power": {"var", "kvar"},
		"temperature":    {"°C", "°F"},
		"voltage":        {"V", "mV"},
	} {
		if slices.Contains(units, unit) {
			return class, bridge.Measurement
		}
	}
	switch unit {
	case "Wh", "kWh", "MWh":
		return "energy", bridge.TotalIncreasing
	case "varh", "kvarh":
		return "reactive_energy", bridge.TotalIncreasing
	case "":
		return "", ""
	}
	return "", bridge.Measurement
}
