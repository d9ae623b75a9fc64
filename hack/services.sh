#!/usr/bin/env bash
# Installs the programs that the tests start by themselves: redis-server,
# PostgreSQL, Node.js, Chromium and Prometheus. It starts nothing; the tests do, each server
# on a port of its own, and do not use a service that the packages may bring up.
# Arguments are commands of the same name as their package that are needed too,
# such as wrk.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
# Debian keeps initdb off the PATH.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
command -v chromium >/dev/null || missing+=(chromium)
# With promtool, which tests the alert rules.
command -v promtool >/dev/null || missing+=(prometheus)
for program; do
	command -v "$program" >/dev/null || missing+=("$program")
done
((${#missing[@]})) || exit 0

if ! command -v apt-get >/dev/null; then
	echo "The tests need ${missing[*]}, and there is no apt-get to install them with:" \
		"install Redis 7, PostgreSQL 15, Node.js 20, Chromium and Prometheus 2.42, or newer, with the package manager of this machine." >&2
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
