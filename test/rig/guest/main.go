//go:build linux

// Command guest is the first process of the rig's virtual machine, and the only
// one but for those that it is told to start. It loads the modules, brings up the
// network, and does what the host asks for with package agent.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edge/test/rig/agent"
)

// processors is more than there are goroutines that work at a time.
const processors = 8

// ready is the line on the console by which the host knows that it can go on.
const ready = "rig: ready"

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case agent.Burn:
			burn()
		case agent.Look:
			look()
		}
	}
	// There is one CPU. What goes first must not wait for others of this process.
	runtime.GOMAXPROCS(processors)
	l, err := boot()
	if err != nil {
		fmt.Println("rig:", err)
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
	server := rpc.NewServer()
	if err := server.RegisterName(agent.Name, newAgent()); err != nil {
		panic(err)
	}
	fmt.Println(ready)
	server.Accept(l)
}

// burn works whenever nothing else does, for ever.
func burn() {
	runtime.LockOSThread()
	idle := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, idle, 0); err != nil {
		fmt.Println("rig: burn:", err)
		return
	}
	for work := 0; ; {
		work++
	}
}

// look has edge describe the board that this is, for ever after which nothing happens.
func look() {
	err := mount([]string{"proc:/proc", "sysfs:/sys", "devtmpfs:/dev"})
	if err == nil {
		cmd := exec.Command("/edge", "pins", "--json")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		err = cmd.Run()
	}
	fmt.Println(agent.Looked, err)
	select {}
}

// boot makes of a bare kernel a system that listens.
func boot() (net.Listener, error) {
	if err := mount([]string{"proc:/proc", "sysfs:/sys", "devtmpfs:/dev", "tmpfs:/tmp"}); err != nil {
		return nil, err
	}
	if err := loadAll("/modules/order"); err != nil {
		return nil, err
	}
	if err := mount([]string{"configfs:/sys/kernel/config", "tracefs:/sys/kernel/tracing", "cgroup2:" + agent.Groups}); err != nil {
		return nil, err
	}
	if err := limitGroups(); err != nil {
		return nil, err
	}
	if err := network(); err != nil {
		return nil, err
	}
	return net.Listen("tcp", fmt.Sprintf(":%d", agent.Port))
}

// mount mounts file systems that are named by kind and place.
func mount(systems []string) error {
	for _, s := range systems {
		kind, place, _ := strings.Cut(s, ":")
		if err := unix.Mount(kind, place, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", place, err)
		}
	}
	return nil
}

// loadAll loads the modules that a file names, one a line, in their order.
func loadAll(order string) error {
	f, err := os.Open(order)
	if err != nil {
		return err
	}
	defer f.Close()
	names := bufio.NewScanner(f)
	for names.Scan() {
		if err := load("/modules/" + names.Text() + ".ko"); err != nil {
			return err
		}
	}
	return names.Err()
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// network has the address that QEMU forwards connections to.
func network() error {
	if err := up("lo", nil); err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 { // The kernel finds its devices in its own time.
		if _, err := net.InterfaceByName("eth0"); err == nil {
			return up("eth0", net.IPv4(10, 0, 2, 15))
		}
		<-tick.C
	}
	return fmt.Errorf("there is no network interface")
}

// up brings an interface up, with an address if there is one.
func up(name string, ip net.IP) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if ip != nil {
		if err := ask(s, name, unix.SIOCSIFADDR, func(r *unix.Ifreq) { _ = r.SetInet4Addr(ip.To4()) }); err != nil {
			return err
		}
		if err := ask(s, name, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) { _ = r.SetInet4Addr([]byte{255, 255, 255, 0}) }); err != nil {
			return err
		}
	}
	return ask(s, name, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING) })
}

func ask(socket int, name string, request uint, fill func(*unix.Ifreq)) error {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	fill(r)
	if err := unix.IoctlIfreq(socket, request, r); err != nil {
		return fmt.Errorf("set up %s: %w", name, err)
	}
	return nil
}
