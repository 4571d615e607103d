#!/bin/sh
# Writes packages, tarballs and SHA256SUMS to DIST, the same bytes for the same commit. It needs Go and GNU's tar, gzip
# and cp. `make package` calls it with
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
if [ -e .git ] && ! said=$(git log -1 2>&1 >/dev/null); then
	echo "make package takes version and date from the commit, which git does not tell: $said" >&2
	exit 1
fi

# Nor may a binary: of what `go env -w` has set only what fetches modules counts.
for name in GOPROXY GOPRIVATE GONOPROXY GONOSUMDB GOSUMDB GOINSECURE GOAUTH GOMODCACHE GOCACHE GOTOOLCHAIN; do
	value=$("$GO" env "$name")
	export "$name=$value"
done
export GOENV=off GOFLAGS=-mod=readonly GOEXPERIMENT='' GOFIPS140=off GOAMD64=v1 GOARM64=v8.0 GOWORK=off
unset GOOS GOARCH

mkdir -p "$DIST"
DIST=$(cd "$DIST" && pwd)
WORK=$(mktemp -d)
export WORK
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' HUP INT TERM

# build ARCH FILE: the binary. An empty ARCH is this machine's.
build() {
	CGO_ENABLED=0 GOOS=${1:+linux} GOARCH=$1 "$GO" build -trimpath -buildvcs=false \
		-ldflags "$LDFLAGS" -o "$2" .
}

# documents writes what is the same for every architecture.
documents() {
	mkdir "$WORK/doc"
	build '' "$WORK/agent"
	"$GO" run ./deploy/package/gendoc -binary "$WORK/agent" -version "$PACKAGE_VERSION" -maintainer "$MAINTAINER" \
		-out "$WORK/doc" -go "$GO" -arches "$ARCHES"
	"$WORK/agent" --completion-script-bash >"$WORK/doc/drone-otel-agent.bash"
	"$WORK/agent" --completion-script-zsh >"$WORK/doc/_drone-otel-agent"
	for file in drone-otel-agent.1 drone-otel-agent.yaml.5 changelog third-party-licenses; do
		gzip -9n <"$WORK/doc/$file" >"$WORK/doc/$file.gz"
	done
}

# share lays out what goes as it is into every package, with the folders that the links in the documents name.
share() {
	mkdir -p "$WORK/share/docs" "$WORK/share/agent" "$WORK/share/examples"
	cp ./*.md "$WORK/share"
	cp -R docs/*.md docs/images "$WORK/share/docs"
	cp agent/config.yaml "$WORK/share/agent"
	cp deploy/systemd/examples/* "$WORK/share/examples"
	(
		cd deploy
		find . \( -path ./package -o -path ./systemd -o -path ./container -o -name tests \) -prune -o \
			\( -name '*.yaml' -o -name '*.json' \) -exec cp --parents -t "$WORK/share/examples" {} +
	)
	cp -R examples/. "$WORK/share/examples"
	chmod -R u=rwX,go=rX "$WORK/share"
}

# tarball ARCH: everything for a machine that takes neither kind of package.
tarball() {
	name=drone-otel-agent-$PACKAGE_VERSION-linux-$1
	root=$WORK/$name
	mkdir -p "$root/man" "$root/completions" "$root/systemd"
	cp -R "$WORK/share/." "$root"
	cp "$WORK/$1/drone-otel-agent" LICENSE deploy/package/INSTALL deploy/package/config.yaml "$root"
	ln -s agent/config.yaml "$root/config-defaults.yaml"
	ln -s examples "$root/deploy"
	cp "$WORK/doc/third-party-licenses" "$root"
	cp "$WORK/doc/drone-otel-agent.1" "$WORK/doc/drone-otel-agent.yaml.5" "$root/man"
	cp "$WORK/doc/drone-otel-agent.bash" "$WORK/doc/_drone-otel-agent" "$root/completions"
	cp deploy/systemd/drone-otel-agent* "$root/systemd"
	chmod -R u=rwX,go=rX "$root"
	tar --create --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
		--directory="$WORK" "$name" | gzip -9n >"$DIST/$name.tar.gz"
}

rm -f "$DIST"/drone-otel-agent[_-]* "$DIST/SHA256SUMS"
documents
share
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
