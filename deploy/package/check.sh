#!/bin/sh
# Holds the packages in DIST against what is promised of them: whoever builds a commit gets the same bytes, Debian's
# and RPM's tools find nothing to say, versions sort. It needs lintian, man-db and rpm, which it installs on a Debian
# machine where it may. `make package-check` calls it with the variables that build.sh takes.
set -eu
cd "$(dirname "$0")/../.."
export LC_ALL=C.UTF-8

failed=0
fail() {
	echo "$*" >&2
	failed=1
}

tools() {
	missing=
	for tool in lintian man rpm; do
		command -v "$tool" >/dev/null || missing="$missing $(echo "$tool" | sed 's/^man$/man-db/')"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		echo "installing$missing" >&2
		export DEBIAN_FRONTEND=noninteractive
		# shellcheck disable=SC2086 # a list
		{ apt-get update && apt-get install --yes --no-install-recommends $missing; } >&2 && return 0
	fi
	echo "make package-check needs$missing" >&2
	exit 1
}

# again builds everything a second time, as somebody else would: in another folder and time zone, with another umask.
again() {
	mkdir "$work/source"
	tar --create --exclude=./.git --exclude=./bin --exclude=./dist . | tar --extract --directory="$work/source"
	(umask 077 && TZ=Pacific/Auckland DIST=$work/again "$work/source/deploy/package/build.sh" >/dev/null)
	diff "$DIST/SHA256SUMS" "$work/again/SHA256SUMS" >&2 || fail "somebody else's packages of the same source are others"
}

# contents asks the distributions' own tools.
contents() {
	for deb in "$DIST"/*.deb; do
		lintian --allow-root --display-info --pedantic --fail-on error,warning,info,pedantic "$deb" ||
			fail "lintian is not content with $deb"
	done
	for rpm in "$DIST"/*.rpm; do
		rpm --checksig --nosignature "$rpm" >/dev/null || fail "rpm does not read $rpm"
		rpm --query --package --list "$rpm" >"$work/rpm"
		for path in /usr/bin/drone-otel-agent /etc/drone-otel-agent/config.yaml \
			/usr/lib/systemd/system/drone-otel-agent.service /usr/share/man/man1/drone-otel-agent.1.gz; do
			grep -qx "$path" "$work/rpm" || fail "$rpm has no $path"
		done
		[ "$(rpm --query --package --configfiles "$rpm")" = /etc/drone-otel-agent/config.yaml ] ||
			fail "$rpm does not keep config.yaml as a file of the administrator's"
	done
	(cd "$DIST" && sha256sum --check --quiet SHA256SUMS) || fail "SHA256SUMS does not fit"
}

# sorts holds that what comes later sorts later.
sorts() {
	before=
	for described in '0000001 20060101000000' 'fffffff 20060101000001' '0000002-dirty 20060101000002' 0.1.0-rc.1 \
		0.1.0-rc.1-9-gfafddb8 0.1.0-rc.1-10-g0000000 0.1.0-rc.2 0.1.0 0.1.0-1-gfafddb8 0.1.1 0.10.0 1.0.0; do
		# shellcheck disable=SC2086 # a version, with a time where it needs one
		version=$(deploy/package/version.sh $described)
		if [ -n "$before" ]; then
			dpkg --compare-versions "$before" lt "$version" || fail "to dpkg $before is not before $version"
			[ "$(rpm --eval "%{lua:print(rpm.vercmp('$before', '$version'))}")" = -1 ] ||
				fail "to rpm $before is not before $version"
		fi
		before=$version
	done
}

tools
DIST=$(cd "$DIST" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
sorts
contents
again
[ "$failed" = 0 ] || exit 1
echo "the packages in $DIST are as they should be"
