#!/bin/sh
# version.sh DESCRIBED TIME: what a package is called whose commit `git describe` gives that name.
#
# Debian and RPM sort 1.2.3~rc.1 before 1.2.3, and 1.2.3+4.gfafddb8, four commits later, after it. Before the first tag
# there is a hash alone, and the commit's TIME (20061231235959) sorts.
set -eu

echo "${1:-unknown}" | sed -E \
	-e "/^[0-9]+\\./!s/^/0.0.0~git${2:-0}./" \
	-e 's/-([0-9]+)-g([0-9a-f]+)/+\1.g\2/' \
	-e 's/-dirty$/+dirty/' \
	-e 's/-/~/' \
	-e 's/-/./g'
