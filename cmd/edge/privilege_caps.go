package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capabilities belong to threads, capabilities(7): each call here is made by all of
// them. Package syscall can do that in a program without C only, as edge is built.

// bindLowPorts is the set of capabilities that open ports below 1024.
const bindLowPorts = 1 << unix.CAP_NET_BIND_SERVICE

var errC = errors.New("a binary with C in it cannot drop what belongs to threads; build it with CGO_ENABLED=0")

// prctl is prctl(2) in all threads.
func prctl(option, value uintptr, more ...uintptr) error {
	more = append(more, 0)
	_, _, errno := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, option, value, more[0], 0, 0, 0)
	return threadsError(errno, "prctl %d", option)
}

func threadsError(errno syscall.Errno, format string, args ...any) error {
	switch errno {
	case 0:
		return nil
	case syscall.ENOTSUP:
		return errC
	}
	return fmt.Errorf(format+": %w", append(args, errno)...)
}

// emptyBounds gives up what programs could get that are run. Without the privilege
// to do so there is nothing to do: no_new_privs is set.
func emptyBounds() error {
	for c := uintptr(0); ; c++ {
		err := prctl(unix.PR_CAPBSET_DROP, c)
		switch {
		case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EPERM): // It was the last one, or none may be dropped.
			return nil
		case err != nil:
			return err
		}
	}
}

// keepCapabilities gives up all capabilities but those of the set, as far as the
// process has them.
func keepCapabilities(set uint64) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // the low 32 capabilities, and the high ones
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for i := range data {
		kept := data[i].Permitted & uint32(set>>(32*i))
		data[i] = unix.CapUserData{Effective: kept, Permitted: kept}
	}
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	return threadsError(errno, "capset")
}
