//go:build unix

package main

import "syscall"

// noCore keeps the kernel from writing the process's memory, with the tokens in it, to a file when it crashes. Go
// itself lets a process dump core only where GOTRACEBACK is crash; what it prints otherwise holds no text. Errors are
// let pass: the limit can always be lowered.
func noCore() {
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
}
