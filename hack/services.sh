#!/usr/bin/env bash
# Installs the programs that the tests start by themselves: redis-server and
# PostgreSQL. It starts nothing; the tests do, each on a port of its own, and
# do not use a service that the packages may bring up.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
# Debian keeps initdb off the PATH.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
	echo "The tests need ${missing[*]}, and there is no apt-get to install them with:" \
		"install Redis 7 and PostgreSQL 15 or newer with the package manager of this machine." >&2
	exit 1
fi
as_root=()
if ((EUID != 0)); then
	command -v sudo >/dev/null || { echo "Run as root: apt-get install ${missing[*]}" >&2; exit 1; }
	as_root=(sudo)
fi
echo "Installing ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
