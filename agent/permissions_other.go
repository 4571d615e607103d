//go:build !linux

package agent

import (
	"io/fs"
	"runtime"
)

// modesMatter tells whether the mode of a file says who has access to it.
func modesMatter(string, fs.FileInfo, bool) bool { return runtime.GOOS != "windows" }

// foreign tells whether the agent is neither the file's owner nor in its group; here it is taken to be.
func foreign(fs.FileInfo) bool { return false }
