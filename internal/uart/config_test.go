package uart_test

import (
	"errors"
	"testing"

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
			uart.Config{Port: " ", Baud: 49, DataBits: 4, Parity: "mark", StopBits: 3, Flow: "hardware"},
			[]string{"port", "baud", "data_bits", "parity", "stop_bits", "flow"},
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
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Validate of %+v: fields (-want +got):\n%s", tt.cfg, diff)
		}
	}
}
