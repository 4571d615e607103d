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

# again builds everything a second time, as somebody else would: in another folder and time zone, with another umask and
# other settings of Go's and git's.
again() {
	mkdir "$work/source"
	tar --create --exclude=./.git --exclude=./bin --exclude=./dist . | tar --extract --directory="$work/source"
	(umask 077 && TZ=Pacific/Auckland GOAMD64=v3 GOARM64=v9.0 GOFLAGS=-tags=netgo GOARCH=386 DIST=$work/again \
		"$work/source/deploy/package/build.sh" >/dev/null)
	diff "$DIST/SHA256SUMS" "$work/again/SHA256SUMS" >&2 || fail "somebody else's packages of the same source are others"
	for digits in 5 30; do
		env -u PACKAGE_VERSION GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.abbrev GIT_CONFIG_VALUE_0="$digits" \
			make --dry-run package >"$work/$digits"
	done
	diff "$work/5" "$work/30" >&2 || fail "the version depends on git's core.abbrev"
	mkdir "$work/source/.git" # a repository that git does not read
	if DIST=$work/unknown "$work/source/deploy/package/build.sh" >"$work/said" 2>&1 || ! grep -q git "$work/said"; then
		fail "packages are built where git does not tell the commit: $(cat "$work/said")"
	fi
}

# links holds that what the documents in a folder link to is there.
links() {
	(cd "$2" && find . -name '*.md' -exec grep -oHE '\]\([^)]+\)' {} +) | sed -E 's/\]\(|\)$//g; s/#.*//' |
		grep -vE ':([a-z]+:.*)?$' >"$work/links" || true
	[ -s "$work/links" ] || fail "the documents in $1 have no links"
	while IFS=: read -r document link; do
		[ -e "$2/$(dirname "$document")/$link" ] || fail "in $1 $document links to $link, which is not there"
	done <"$work/links"
}

# documents holds the links of every package, and that what INSTALL says installs what the units need.
documents() {
	for package in "$DIST"/*.deb "$DIST"/*.rpm "$DIST"/*.tar.gz; do
		root=$work/${package##*/}
		mkdir "$root"
		doc=$root/usr/share/doc/drone-otel-agent
		case $package in
		*.deb) dpkg-deb --extract "$package" "$root" ;;
		*.rpm) rpm2archive --nocompression - <"$package" | tar --extract --directory="$root" ;;
		*) tar --extract --file="$package" --directory="$root" --strip-components=1 && doc=$root ;;
		esac
		links "$package" "$doc"
	done
	target=$work/installed # the last one was a tarball
	sed -n 's/^    sudo install/install/p' "$root/INSTALL" | sed -E "s, (/(usr|etc)/), $target\\1,g" >"$work/install"
	(cd "$root" && sh -eu "$work/install") || fail "INSTALL does not install"
	for path in /usr/bin/drone-otel-agent /etc/drone-otel-agent/config.yaml /etc/drone-otel-agent/drone-token \
		/etc/systemd/system/drone-otel-agent.service /usr/local/share/man/man5/drone-otel-agent.yaml.5; do
		[ -f "$target$path" ] || fail "INSTALL does not make $path"
	done
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
documents
again
[ "$failed" = 0 ] || exit 1
echo "the packages in $DIST are as they should be"
