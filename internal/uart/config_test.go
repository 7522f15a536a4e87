package uart_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"edge/internal/uart"
)

func TestValidateTellsAll(t *testing.T) {
	for _, tt := range []struct {
		cfg  uart.Config
		want []string // fields
	}{
		{uart.Config{Port: "/dev/ttyUSB0"}, nil},
		{uart.Config{Port: "usb-*", Baud: 300, DataBits: 7, Parity: "even", StopBits: 2, Flow: "xonxoff"}, nil},
		{uart.Config{}, []string{"port"}},
		{uart.Config{Port: "usb-["}, []string{"port"}},
		{
			uart.Config{Port: " ", Baud: 49, DataBits: 4, Parity: "strange", StopBits: 3, Flow: "hardware"},
			[]string{"port", "baud", "data_bits", "parity", "stop_bits", "flow"},
		},
		{uart.Config{Port: "x", Parity: "mark", DTR: "off", RTS: "on", RS485: uart.RS485{DelayBefore: 100 * time.Millisecond}}, nil},
		{uart.Config{Port: "x", Flow: "rtscts", RTS: "off", DTR: "high"}, []string{"dtr", "rts"}},
		{uart.Config{Port: "x", Flow: "rtscts", RS485: uart.RS485{Enabled: true, RTSOnSend: "leave"}}, []string{"rs485.enabled", "rs485.rts_on_send"}},
		{
			uart.Config{Port: "x", RTS: "on", RS485: uart.RS485{Enabled: true, DelayBefore: time.Microsecond, DelayAfter: 101 * time.Millisecond}},
			[]string{"rs485.delay_after", "rs485.delay_before", "rs485.enabled"},
		},
		{uart.Config{Port: "x", Baud: uart.MaxBaud + 1, DataBits: -1, StopBits: -1}, []string{"baud", "data_bits", "stop_bits"}},
	} {
		var got []string
		if err := tt.cfg.Validate(); err != nil {
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				var field *uart.FieldError
				if !errors.As(err, &field) {
					t.Fatalf("%v is no *FieldError", err)
				}
				got = append(got, field.Field)
			}
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Validate of %+v: fields (-want +got):\n%s", tt.cfg, diff)
		}
	}
}
