package modbus

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// generated makes a template of a table, and entities of that.
func generated(t *testing.T, table string, fromOne bool) (string, []Entity) {
	t.Helper()
	text, err := GenerateTemplate("dir/my meter.csv", strings.NewReader(table), fromOne)
	if err != nil {
		t.Fatalf("%v, of\n%s", err, table)
	}
	tmpl, err := TemplateFile{Name: "x", File: "x.yaml", Text: text}.Parse()
	if err != nil {
		t.Fatalf("%v, of\n%s", err, text)
	}
	return string(text), tmpl.Entities
}

func TestGenerate(t *testing.T) {
	text, _ := generated(t, `Address,Name,Type,Unit,Scale,Access,Table
0,Phase 1 voltage,float,Volts,,R,input
0x34,"Power, total",int32,W,"0,1",R,input
0048h,Import active energy,unsigned32,kWh,1/100,RO,3x
12 - 13,Limit,unsigned,%,,R/W,
3,Relay 1,,,,RW,coil
4,Door,,,,R,02
,Section two,,,,,
20–23,Serial number,string,,,R,holding
`+"21,Off,int16,deg C,x10,R,fc3\n", false)
	want := `# Made of my meter.csv by edge modbus generate; compare it with the maker's document.
name: my meter
manufacturer: ""
model: ""
source: ""
entities:
- {id: phase_1_voltage, name: Phase 1 voltage, class: voltage, unit: V, state_class: measurement, table: input, address: 0x0000, format: f32}
- {id: power_total, name: "Power, total", class: power, unit: W, state_class: measurement, table: input, address: 0x0034, format: s32, scale: 0.1}
- {id: import_active_energy, name: Import active energy, class: energy, unit: kWh, state_class: total_increasing, table: input, address: 0x0048, format: u32, scale: 0.01}
- {id: limit, name: Limit, kind: number, unit: "%", table: holding, address: 0x000C, format: u32, write: true}
- {id: relay_1, name: Relay 1, kind: switch, table: coil, address: 0x0003, write: true}
- {id: door, name: Door, kind: binary_sensor, table: discrete, address: 0x0004}
- {id: serial_number, name: Serial number, table: holding, address: 0x0014, format: string, length: 4}
- {id: "off", name: "Off", class: temperature, unit: "°C", state_class: measurement, table: holding, address: 0x0015, format: s16, scale: 10}
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

// Columns are called and separated as they are in documents.
func TestGenerateColumns(t *testing.T) {
	for _, table := range []string{
		"Quantity;Start Reg (Hex);Size;Res.;Unit;Data type\nActive import;5000;4;0,01;kWh;Unsigned\n",
		"Register address\tDescription\tFormat\tUnits\tDivisor\n20480\tActive import\tUINT64\tkWh\t100\n",
		"Register NO.,Variable Name,Note,Unit,Data type,Scale\n20480,Active import,since 1970,kWh,64-bit unsigned integer,0.01\n",
		"Note,Start address hex,Format,Unit,Factor\nEnergy,,,,\n,Energy,,,\nActive import,5000,Unsigned Int64,kWh,0.01\n",
		"\ufeffPhysical address,VARIABLE,Length (bytes),Data Format,Eng. unit,Factor\r\n5000h,Active import,8,UINT,kWh,0.01\r\n",
	} {
		_, entities := generated(t, table, false)
		e := entities[0]
		if got := fmt.Sprintln(e.ID, *e.Address, e.Format, e.Scale, e.Unit, e.table()); got != "active_import 20480 u64 0.01 kWh holding\n" {
			t.Errorf("got %s of\n%s", got, table)
		}
	}
}

// Types are called as documents call them.
func TestGenerateTypes(t *testing.T) {
	for text, want := range map[string]Format{
		"16 bit unsigned": U16, "Signed Int 32": S32, "UINT_32": U32, "32-bit float": F32, "Floating point": F32, "INT16": S16,
		"bit": Bool, "Int64": S64, "DWORD": U32, "short": S16, "64 bits signed integer": S64, "": U16, "BCD 32": BCD32,
	} {
		_, entities := generated(t, "address,name,type\n1,a,"+text+"\n", false)
		if got := entities[0].Format; got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}

// Numbers of manuals count from 1 and name the table.
func TestGenerateFromOne(t *testing.T) {
	_, entities := generated(t, "register,name,order,type\n30001,a,,float\n300072,b,CDAB,long\n40100,c,,\n10003,d,,\n00007,e,,\n3028,f,,\n", true)
	var got []string
	for _, e := range entities {
		got = append(got, fmt.Sprint(e.ID, " ", e.table(), *e.Address, " ", e.order()))
	}
	if text := strings.Join(got, ", "); text != "a input0 big, b input71 word, c holding99 big, d discrete2 big, e coil6 big, f holding3027 big" {
		t.Errorf("got %s", text)
	}
}

// Two rows may have the same name, or one that no topic can have.
func TestGenerateIDs(t *testing.T) {
	_, entities := generated(t, "address,name,id\n1,Power,\n2,power!,\n3,功率,\n4,Power 2,\n5,x,Some Id\n6,"+strings.Repeat("long ", 40)+",\n", false)
	var got []string
	for _, e := range entities {
		got = append(got, e.ID)
	}
	if text := strings.Join(got, " "); !strings.HasPrefix(text, "power power_2 register_3 power_2_2 some_id long_") || len(got[5]) > 60 {
		t.Errorf("got %s", text)
	}
}

func TestGenerateMistakes(t *testing.T) {
	for table, want := range map[string]string{
		"":                                                        "there is no register in it",
		"address,name\n":                                          "there is no register in it",
		"addr,colour\n1,red\n":                                    "t.csv:1:1: no column for the name; it may be called name, parameter",
		"name\nx\n":                                               "t.csv:1:1: no column for the address",
		"address,name\nx,a\n70000,b\n":                            "t.csv:2:1: \"x\" is no address, 0 to 65535\nt.csv:3:1: \"70000\" is no address",
		"address,name,type\n1,a,u16\n2,b,foo\n":                   "t.csv:3:5: \"foo\" is no type",
		"address,name,type,size\n2,b,u16,2\n":                     "t.csv:2:9: \"u16\" has 1 registers, not 2",
		"address,name,size\n2,b,x\n":                              "t.csv:2:5: \"x\" is no number of registers",
		"address,name,scale\n2,b,x\n":                             "t.csv:2:5: \"x\" is no factor",
		"address,name\n9-3,b\n":                                   "t.csv:2:1: \"9-3\" is no address",
		"address,name,divisor\n2,b,0\n":                           "t.csv:2:5: \"0\" is no factor",
		"address,name,table\n2,b,7\n":                             "t.csv:2:5: \"7\" is no table",
		"address,name,order\n2,b,AB?\n\"":                         "t.csv:3:",
		"address,name,order\n2,b,ACBD\n":                          "t.csv:2:5: \"ACBD\" is no order",
		"address,name,access\n2,b,W\n":                            "t.csv:2:5: what can only be written has no state",
		"address,name,type\n65535,b,u32\n":                        "t.csv:2:1: b: address: 2 registers from 65535 on end above 65535",
		"address,name,type\n5,b,string\n":                         "t.csv:2:1: b: length: 0 is not between 1 and 125",
		"address,name\n1,\"a\n":                                   "t.csv:2:",
		"address,name\n" + strings.Repeat("1,a\n", maxEntities+1): "there are more than 1000 registers",
	} {
		got, err := GenerateTemplate("t.csv", strings.NewReader(table), false)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %.60q: %q, %v, want %q", table, got, err, want)
		}
	}
	if _, err := GenerateTemplate("t.csv", strings.NewReader("address,name\n0,a\n"), true); err == nil {
		t.Error("there is no register 0 where numbers count from 1")
	}
	if _, err := GenerateTemplate("t.csv", bytes.NewReader(make([]byte, maxTable+1)), false); err == nil {
		t.Error("a table of more than 1 MiB is read")
	}
}

// FuzzGenerate: what is made of a table is a template without mistakes.
func FuzzGenerate(f *testing.F) {
	f.Add("Address,Name,Type,Unit,Scale,Access,Table\n0,Phase 1 voltage,float,Volts,,R,input\n3,Relay,,,,RW,coil\n", false)
	f.Add("register;name\n30001;a: \"b\" # c\n", true)
	f.Add("address,name,size,type\n1,true,4,string\n2,'{x},1,bcd\n3,\u202e,2,bcd\n", false)
	f.Fuzz(func(t *testing.T, table string, fromOne bool) {
		text, err := GenerateTemplate("t.csv", strings.NewReader(table), fromOne)
		if err != nil {
			return
		}
		if _, err := (TemplateFile{Name: "t", File: "t.yaml", Text: text}).Parse(); err != nil {
			t.Errorf("%v\nof\n%s\nof\n%q", err, text, table)
		}
	})
}
