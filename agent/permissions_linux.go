package agent

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Kinds of file systems that live in memory: linux/magic.h.
const (
	tmpfs = 0x01021994
	ramfs = 0x858458f6
)

// modesMatter tells whether the mode of a file says who has access to it. It does not where a platform has put it
// there for the agent alone: Kubernetes and container engines show secrets, readable by everyone, on a file system in
// memory that is mounted for reading only. And the folder of the state may be a volume, of which the platform is the
// owner and chooses the mode.
func modesMatter(path string, info fs.FileInfo, state bool) bool {
	var system syscall.Statfs_t
	if err := syscall.Statfs(path, &system); err != nil {
		return true
	}
	kind := uint32(system.Type) // its own size depends on the machine
	if (kind == tmpfs || kind == ramfs) && system.Flags&syscall.MS_RDONLY != 0 {
		return false
	}
	if state && !info.IsDir() {
		path = filepath.Dir(path)
	}
	return !state || !foreignVolume(path)
}

// foreignVolume tells whether a folder is where a volume of somebody else is mounted.
func foreignVolume(folder string) bool {
	info, err := os.Stat(folder)
	if err != nil {
		return false
	}
	around, err := os.Stat(filepath.Dir(folder))
	if err != nil {
		return false
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	outside, too := around.Sys().(*syscall.Stat_t)
	return is && too && stat.Dev != outside.Dev && int(stat.Uid) != os.Geteuid()
}

// foreign tells whether the agent is neither the file's owner nor in its group.
func foreign(info fs.FileInfo) bool {
	stat, is := info.Sys().(*syscall.Stat_t)
	if !is || os.Geteuid() == 0 || int(stat.Uid) == os.Geteuid() {
		return false
	}
	groups, err := os.Getgroups()
	return err == nil && !slices.Contains(append(groups, os.Getegid()), int(stat.Gid))
}
