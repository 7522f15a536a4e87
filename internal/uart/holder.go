package uart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Holder is a process that has a port open.
type Holder struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // its name, proc_pid_comm(5)
}

func (h Holder) String() string {
	if h.PID == os.Getpid() {
		return "this process"
	}
	return fmt.Sprintf("%s (pid %d)", h.Command, h.PID)
}

// readers are services that take ports for themselves without a lock, and the
// command that stops each; %s is the name of the port.
var readers = map[string]string{
	"ModemManager": "sudo systemctl disable --now ModemManager",
	"brltty":       "sudo systemctl mask --now brltty-udev brltty",
	"gpsd":         "sudo systemctl disable --now gpsd.socket gpsd",
	"agetty":       "sudo systemctl disable --now serial-getty@%s",
}

// Holders returns who has the device open, as far as this user may see: of
// another user's processes those that it is the terminal of.
func Holders(dev string) []Holder { return Host{}.Holders(dev) }

// Holders is as the function Holders.
func (h Host) Holders(dev string) []Holder {
	found := h.holders()[dev]
	for _, o := range h.attached(dev) {
		if !slices.Contains(found, o) {
			found = append(found, o)
		}
	}
	return found
}

// attached returns the processes whose controlling terminal dev is: a login. The
// kernel says so to everybody (proc_pid_stat(5), tty_nr).
func (h Host) attached(dev string) (found []Holder) {
	var s unix.Stat_t
	if unix.Stat(dev, &s) != nil {
		return nil
	}
	minor := unix.Minor(s.Rdev)
	number := strconv.Itoa(int(int32(minor&0xff | unix.Major(s.Rdev)<<8 | minor&^0xff<<12)))
	for _, pid := range h.processes() {
		// 513 (agetty) S 1 513 513 1028 …; the name may have blanks and brackets.
		stat := content(h.path("proc", pid), "stat")
		f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(f) > 4 && f[4] == number {
			found = append(found, h.process(pid))
		}
	}
	return found
}

// processes lists the processes by their numbers.
func (h Host) processes() []string {
	return slices.DeleteFunc(names(h.path("proc")), func(name string) bool {
		_, err := strconv.Atoi(name)
		return err != nil
	})
}

// holders looks through every process once and returns the holders of each
// file in /dev.
func (h Host) holders() map[string][]Holder {
	found := map[string][]Holder{}
	for _, pid := range h.processes() {
		dir := h.path("proc", pid)
		for _, fd := range names(dir + "/fd") {
			dev, err := os.Readlink(dir + "/fd/" + fd)
			if err != nil || !strings.Contains(dev, "/dev/") {
				continue
			}
			if o := h.process(pid); !slices.Contains(found[dev], o) {
				found[dev] = append(found[dev], o)
			}
		}
	}
	return found
}

// names lists a directory without a look at what is in it: filepath.Glob takes
// four times as long for /proc.
func names(dir string) []string {
	f, err := os.Open(dir)
	if err != nil {
		return nil // another user's, or a process that has ended
	}
	defer f.Close()
	list, _ := f.Readdirnames(-1)
	slices.Sort(list)
	return list
}

// busy says who holds dev and how to make it let go: first who has the lock,
// which everybody may see, then who has it open.
func (h Host) busy(dev string, cause error) error {
	holders := h.Holders(dev)
	if o, ok := h.locker(dev); ok {
		holders = append([]Holder{o}, slices.DeleteFunc(holders, func(p Holder) bool { return p.PID == o.PID })...)
	}
	if len(holders) == 0 {
		return fmt.Errorf("%w (%w) by a process of another user%s; `sudo fuser -v %s` names it", ErrBusy, cause, h.suspect(dev), dev)
	}
	names := make([]string, len(holders))
	for i, o := range holders {
		names[i] = o.String()
	}
	return fmt.Errorf("%w by %s%s", ErrBusy, strings.Join(names, ", "), advice(dev, holders))
}

// suspect names a service that may have dev, if one runs: what it has open is not
// for every user to see.
func (h Host) suspect(dev string) string {
	for _, pid := range h.processes() {
		o := h.process(pid)
		if _, ok := readers[o.Command]; ok && o.Command != "agetty" { // which would be attached
			return fmt.Sprintf(", perhaps %s%s", o, advice(dev, []Holder{o}))
		}
	}
	return ""
}

// locker returns who has locked dev by flock(2), by a line of proc_locks(5):
//
//	1: FLOCK  ADVISORY  WRITE 512 00:06:1021 0 EOF
func (h Host) locker(dev string) (o Holder, ok bool) {
	var s unix.Stat_t
	if unix.Stat(dev, &s) != nil {
		return Holder{}, false
	}
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(s.Dev), unix.Minor(s.Dev), s.Ino)
	ok = h.hasLine("proc/locks", func(f []string) bool {
		if len(f) < 6 || f[1] != "FLOCK" || f[5] != id {
			return false
		}
		o = h.process(f[4])
		return o.PID > 0 // others are beyond a container's sight
	})
	return o, ok
}

// process returns a process by its number.
func (h Host) process(pid string) Holder {
	n, _ := strconv.Atoi(pid)
	return Holder{PID: n, Command: content(h.path("proc", strconv.Itoa(n)), "comm")}
}

// reader returns an error that names a holder of dev that does not lock it as we
// do: one that is known to read without asking, since both would get half of the
// bytes, or one with a lock file of the old kind.
func (h Host) reader(dev string) error {
	holders := h.Holders(dev)
	for _, o := range holders {
		if _, ok := readers[o.Command]; ok {
			return fmt.Errorf("%w by %s%s", ErrBusy, o, advice(dev, []Holder{o}))
		}
	}
	file := h.path("run/lock/LCK.." + filepath.Base(dev))
	if o, ok := h.lockFile(file); ok {
		return fmt.Errorf("%w by %s, which has made %s", ErrBusy, o, file)
	}
	return nil
}

// lockFile returns who has made a lock file, if it still runs: its number in ten
// characters (FHS 3.0, 5.9, /var/lock). minicom and cu go by them.
func (h Host) lockFile(file string) (o Holder, ok bool) {
	o = h.process(content(filepath.Dir(file), filepath.Base(file)))
	return o, o.PID > 0 && o.PID != os.Getpid() && exists(h.path("proc", strconv.Itoa(o.PID)))
}

func advice(dev string, holders []Holder) string {
	for _, o := range holders {
		if stop, ok := readers[o.Command]; ok {
			return fmt.Sprintf("; stop it with `%s`", strings.ReplaceAll(stop, "%s", filepath.Base(dev)))
		}
	}
	return ""
}
