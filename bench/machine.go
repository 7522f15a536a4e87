package main

import (
	"bytes"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A Machine describes where the figures come from.
type Machine struct {
	CPU       string `json:"cpu"`
	Cores     int    `json:"cores"`
	Kernel    string `json:"kernel"`
	Arch      string `json:"arch"`
	Go        string `json:"go"`
	Placement string `json:"placement"`
	Disk      string `json:"disk,omitempty"` // its file system, where brokers must keep what they acknowledge
}

// describe describes this machine; what it cannot find out is "unknown". It
// must be called before the process gives CPUs away.
func describe() Machine {
	m := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", Arch: runtime.GOARCH, Go: runtime.Version()}
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = cpuModel(info)
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if _, fs, err := diskDir(); err == nil {
		m.Disk = fs
	}
	return m
}

// cpuModel finds the name of the CPU in /proc/cpuinfo: x86 has "model name", a
// Raspberry Pi has the board's "Model".
func cpuModel(info []byte) string {
	for _, want := range []string{"Model", "model name"} {
		for line := range bytes.Lines(info) {
			name, value, _ := strings.Cut(string(line), ":")
			if strings.TrimSpace(name) == want {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown"
}
