#!/bin/sh
# Writes packages, tarballs and SHA256SUMS to DIST, the same bytes for the same commit. It needs Go, GNU's tar and gzip.
# `make package` calls it with
#
#   GO, LDFLAGS        for the binary
#   PACKAGE_VERSION    a version that Debian and RPM can sort
#   SOURCE_DATE_EPOCH  the time of every file
#   MAINTAINER         NAME <ADDRESS>
#   ARCHES             as Go calls them: amd64 arm64
#   DIST               a folder; the packages that are in it go
set -eu
cd "$(dirname "$0")/../.."
umask 022
# Neither the order of files nor a date may depend on who builds.
export LC_ALL=C TZ=UTC

mkdir -p "$DIST"
DIST=$(cd "$DIST" && pwd)
WORK=$(mktemp -d)
export WORK
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' HUP INT TERM

# build ARCH FILE: the binary. An empty ARCH is this machine's.
build() {
	CGO_ENABLED=0 GOOS=${1:+linux} GOARCH=$1 GOFLAGS=-mod=readonly "$GO" build -trimpath -buildvcs=false \
		-ldflags "$LDFLAGS" -o "$2" .
}

# documents writes what is the same for every architecture.
documents() {
	mkdir "$WORK/doc"
	build '' "$WORK/agent"
	"$GO" run ./deploy/package/gendoc -binary "$WORK/agent" -version "$PACKAGE_VERSION" -maintainer "$MAINTAINER" \
		-out "$WORK/doc"
	"$WORK/agent" --completion-script-bash >"$WORK/doc/drone-otel-agent.bash"
	"$WORK/agent" --completion-script-zsh >"$WORK/doc/_drone-otel-agent"
	for file in drone-otel-agent.1 drone-otel-agent.yaml.5 changelog third-party-licenses; do
		gzip -9n <"$WORK/doc/$file" >"$WORK/doc/$file.gz"
	done
}

# tarball ARCH: everything for a machine that takes neither kind of package.
tarball() {
	name=drone-otel-agent-$PACKAGE_VERSION-linux-$1
	root=$WORK/$name
	mkdir -p "$root/man" "$root/completions" "$root/systemd" "$root/examples"
	cp "$WORK/$1/drone-otel-agent" LICENSE README.md METRICS.md CHANGELOG.md "$root"
	cp deploy/package/config.yaml "$root/config.yaml"
	cp agent/config.yaml "$root/config-defaults.yaml"
	cp "$WORK/doc/third-party-licenses" "$root"
	cp "$WORK/doc/drone-otel-agent.1" "$WORK/doc/drone-otel-agent.yaml.5" "$root/man"
	cp "$WORK/doc/drone-otel-agent.bash" "$WORK/doc/_drone-otel-agent" "$root/completions"
	cp deploy/systemd/drone-otel-agent* "$root/systemd"
	cp deploy/systemd/examples/* "$root/examples"
	chmod -R u=rwX,go=rX "$root"
	tar --create --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--directory="$WORK" "$name" | gzip -9n >"$DIST/$name.tar.gz"
}

rm -f "$DIST"/drone-otel-agent[_-]* "$DIST/SHA256SUMS"
documents
for ARCH in $ARCHES; do
	export ARCH
	mkdir "$WORK/$ARCH"
	build "$ARCH" "$WORK/$ARCH/drone-otel-agent"
	for packager in deb rpm; do
		"$GO" tool -modfile=tools/nfpm/go.mod nfpm package --config deploy/package/nfpm.yaml \
			--packager "$packager" --target "$DIST/" >"$WORK/log" || { cat "$WORK/log" >&2; exit 1; }
	done
	tarball "$ARCH"
done
cd "$DIST"
sha256sum drone-otel-agent[_-]* >SHA256SUMS
cat SHA256SUMS
