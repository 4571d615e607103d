#!/usr/bin/env bash
# A Debian with systemd as its first process, in a container, for the tests beside this file.
#
#   container.sh root             prints the path of an archive of its file system, which is made if it is missing
#   container.sh boot FILE NAME   boots it, prints the process id of its systemd, and takes it away when the
#                                 standard input ends
#
# The input ends however the test ends, also when it is killed: no container outlives its test.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # which su leaves out

# What is in it beside Debian's essential packages.
packages=systemd,systemd-sysv,dbus,ca-certificates,sudo,curl
# Raised when what is done to the file system after debootstrap changes.
layout=1

fail() {
	printf 'the tests on systemd need %s\n' "$*" >&2
	exit 1
}

needs() {
	[ "$(id -u)" = 0 ] || fail "root: they make a Debian with debootstrap and boot it with systemd-nspawn"
	command -v apt-get >/dev/null || fail "Debian: apt-get is not there to install debootstrap and systemd-nspawn"
	[ -d /run/systemd/system ] || [ -n "$(hierarchies)" ] ||
		fail "a cgroup hierarchy that systemd can use: neither cgroup2 nor name=systemd is mounted below /sys/fs/cgroup"
	local missing=()
	command -v debootstrap >/dev/null || missing+=(debootstrap)
	command -v systemd-nspawn >/dev/null || missing+=(systemd-container)
	if [ ${#missing[@]} -gt 0 ]; then
		echo "installing ${missing[*]}" >&2
		export DEBIAN_FRONTEND=noninteractive
		{ apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >&2 ||
			fail "the Debian packages ${missing[*]}, which could not be installed"
	fi
}

# hierarchies are the cgroup trees that a systemd keeps its units in, where no systemd of the machine's own hands
# out a place in them.
hierarchies() {
	awk '$3 == "cgroup2" || $3 == "cgroup" && $4 ~ /name=systemd/ { print $2 }' /proc/self/mounts
}

# mirror is where the machine itself gets its Debian from, not what others offer for it; nothing, which leaves it to
# debootstrap, where apt has not fetched its lists yet.
mirror() {
	# shellcheck disable=SC2016 # apt's variables
	apt-get indextargets --format '$(SITE) $(ORIGIN)' 'Created-By: Packages' "Codename: $1" 2>/dev/null |
		awk '/ (Debian|Ubuntu)$/ && !found++ { print $1 }'
}

# proxy is the one that apt goes through.
proxy() {
	local proxy=
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	echo "$proxy"
}

# throw_away removes a folder, and first whatever is mounted in it, as by a debootstrap that was killed.
throw_away() {
	awk -v below="$1/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort --reverse |
		xargs --no-run-if-empty umount --lazy
	rm -rf --one-file-system "$1"
}

root() {
	needs
	local suite folder file
	# shellcheck source=/dev/null
	suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$suite" ] || fail "a Debian release with a name: VERSION_CODENAME is not in /etc/os-release"
	folder=/var/cache/drone-otel-agent-tests
	mkdir -p "$folder"
	file=$folder/$suite-$(echo "$layout $packages" | sha256sum | cut -c1-12).tar
	exec 9>"$folder/lock"
	flock --timeout 900 9 || fail "the lock of $folder, which somebody else holds"
	if [ ! -e "$file" ]; then
		echo "making a Debian root, which takes a minute; it is kept as $file" >&2
		made=$(mktemp -d "${TMPDIR:-/var/tmp}/drone-otel-agent-root-XXXXXX")
		trap 'throw_away "$made"' EXIT
		# shellcheck disable=SC2046 # nothing is no argument
		http_proxy=${http_proxy:-$(proxy)} timeout --foreground 600 \
			debootstrap --variant=minbase --include="$packages" "$suite" "$made/root" $(mirror "$suite") \
			>"$made/log" 2>&1 || { tail -n 20 "$made/log" >&2; fail "debootstrap to work"; }
		chroot "$made/root" apt-get clean
		rm -rf "$made"/root/var/lib/apt/lists/*_*
		: >"$made/root/etc/machine-id" # empty: each container gets one of its own
		echo debian >"$made/root/etc/hostname"
		echo 127.0.1.1 debian >>"$made/root/etc/hosts"
		tar --create --file="$file.part" --numeric-owner --one-file-system --directory="$made/root" .
		mv "$file.part" "$file"
	fi
	echo "$file"
}

# child prints the process id of the container's systemd: a child of systemd-nspawn that is the first process to
# itself.
child() {
	local pid
	# shellcheck disable=SC2013 # numbers
	for pid in $(grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d/ -f3); do
		if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = systemd ] &&
			awk '/^NSpid:/ { found = NF > 2 && $NF == 1 } END { exit !found }' "/proc/$pid/status"; then
			echo "$pid"
		fi
	done
}

# within waits, at most so many tenths of a second.
within() {
	local tries=$1
	shift
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

boot() {
	local file=$1
	name=$2 groups=() nspawn= # for take_away, as is folder
	needs
	folder=$(mktemp -d "${TMPDIR:-/var/tmp}/$name-XXXXXX")
	trap take_away EXIT
	trap 'exit 1' HUP INT TERM
	mkdir "$folder/root"
	tar --extract --file="$file" --numeric-owner --directory="$folder/root"

	# With --register=no alone systemd-nspawn asks the machine's systemd for a place; where there is none, it has
	# one made here, of its own, so that two tests do not meet.
	local options=(--register=no)
	if [ ! -d /run/systemd/system ]; then
		options+=(--keep-unit)
		mapfile -t groups < <(hierarchies)
		groups=("${groups[@]/%//$name}")
		mkdir "${groups[@]}" || fail "leave to make a cgroup of its own"
	fi
	(
		for group in "${groups[@]}"; do
			echo "$BASHPID" >"$group/cgroup.procs"
		done
		exec systemd-nspawn --quiet --boot --directory="$folder/root" --machine="$name" --console=pipe "${options[@]}"
	) </dev/null >"$folder/console" 2>&1 &
	nspawn=$!

	if ! within 300 booted; then
		cat "$folder/console" >&2
		fail "systemd-nspawn to boot a container, which it did not within 30 seconds"
	fi
	child "$nspawn"
	cat >/dev/null || true
}

booted() {
	[ -n "$(child "$nspawn")" ]
}

ended() {
	! kill -0 "$nspawn" 2>/dev/null
}

take_away() {
	trap - EXIT
	if [ -n "$nspawn" ] && ! ended; then
		kill -TERM "$nspawn" # asks the container's systemd to power off
		# shellcheck disable=SC2046 # nothing is no argument
		within 200 ended || kill -KILL $(child "$nspawn") "$nspawn" || true
		wait "$nspawn" || true
	fi
	local group
	for group in "${groups[@]}"; do
		within 50 empty "$group" || echo "left behind: $group" >&2
	done
	[ ! -d "/run/systemd/nspawn/propagate/$name" ] || rmdir "/run/systemd/nspawn/propagate/$name"
	throw_away "$folder"
}

empty() {
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
	[ ! -d "$1" ]
}

case ${1:-} in
root) root ;;
boot) boot "$2" "$3" ;;
*) fail "one of: container.sh root, container.sh boot FILE NAME" ;;
esac
