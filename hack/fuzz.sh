#!/usr/bin/env bash
# Runs the fuzz targets of all packages, or those that the arguments name as
# FOLDER:TARGET, each for FUZZTIME (10m), FUZZJOBS (1) at a time. What the
# fuzzers learn stays in FUZZCACHE; the KEEP (20) shortest new inputs of each
# target go to its testdata/fuzz, where `go test` runs them for ever.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${FUZZTIME:=10m}" "${FUZZJOBS:=1}" "${KEEP:=20}" "${FUZZCACHE:=$(go env GOCACHE)/fuzz/wildout}"
export FUZZTIME KEEP FUZZCACHE

targets() {
	grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9]+' api cmd controllers internal runtime site |
		sed -E 's,^(.*)/[^/]+:[0-9]+:func (.*)$,\1:\2,'
}

fuzz() {
	local folder=${1%%:*} target=${1##*:} program
	program=$(mktemp)
	trap 'rm -f "$program"' RETURN
	go test -c -fuzz="^$target\$" -o "$program" "./$folder"
	cd "$folder"
	if ! "$program" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$FUZZTIME" \
		-test.parallel=1 -test.fuzzcachedir="$FUZZCACHE/$folder" >"$program.log" 2>&1; then
		grep -v '^fuzz: elapsed' "$program.log" >&2
		echo "FAIL $folder $target: the input is in $folder/testdata/fuzz/$target" >&2
		return 1
	fi
	echo "ok   $folder $target: $(grep '^fuzz: elapsed' "$program.log" | tail -1 | cut -d, -f2-)"
	rm -f "$program.log"
	local found="$FUZZCACHE/$folder/$target" kept="testdata/fuzz/$target"
	[ -d "$found" ] || return 0
	mkdir -p "$kept"
	find "$found" -type f -size -2k -printf '%s %p\n' | sort -n | cut -d' ' -f2- |
		head -n "$KEEP" | xargs -r cp -n -t "$kept"
}
export -f fuzz

if [ $# -eq 0 ]; then
	mapfile -t all < <(targets)
	set -- "${all[@]}"
fi
printf '%s\n' "$@" | xargs -P "$FUZZJOBS" -I{} bash -euo pipefail -c 'fuzz {}'
