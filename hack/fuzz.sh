#!/usr/bin/env bash
# Runs the fuzz targets of all packages, or those that the arguments name as
# FOLDER:TARGET, each for FUZZTIME (10m), FUZZJOBS (1) at a time. What the
# fuzzers learn stays in FUZZCACHE, and goes on from there the next time.
#
# In the repository, in testdata/fuzz of a package where `go test` runs it for
# ever, is what earns its place:
#  - what made a target fail: Go puts it there, commit it with what mends it;
#  - what reaches a statement of the package that nothing else there reaches,
#    neither a seed (f.Add) nor an input that was kept before. The shortest go
#    first. This script adds them, and removes none.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${FUZZTIME:=10m}" "${FUZZJOBS:=1}" "${FUZZCACHE:=$(go env GOCACHE)/fuzz/wildout}"
export FUZZTIME FUZZCACHE

targets() {
	grep -rn --include='*_test.go' -oE '^func Fuzz[A-Za-z0-9]+' api cmd controllers internal runtime site |
		sed -E 's,^(.*)/[^/]+:[0-9]+:func (.*)$,\1:\2,'
}

fuzz() {
	local folder=${1%%:*} target=${1##*:} work
	work=$(mktemp -d)
	trap 'rm -rf "$work"' RETURN
	go test -c -fuzz="^$target\$" -o "$work/fuzz" "./$folder"
	go test -c -cover -o "$work/cover" "./$folder"
	cd "$folder"
	if ! "$work/fuzz" -test.run='^$' -test.fuzz="^$target\$" -test.fuzztime="$FUZZTIME" \
		-test.parallel=1 -test.fuzzcachedir="$FUZZCACHE/$folder" >"$work/log" 2>&1; then
		grep -v '^fuzz: elapsed' "$work/log" >&2
		echo "FAIL $folder $target: the input is in $folder/testdata/fuzz/$target" >&2
		return 1
	fi
	echo "ok   $folder $target: $(grep '^fuzz: elapsed' "$work/log" | tail -1 | cut -d, -f2-)"
	keep "$work" "$FUZZCACHE/$folder/$target" "$target"
}

# keep <work> <found> <target> copies from the folder <found> what reaches more.
keep() {
	local work=$1 found=$2 target=$3 kept="testdata/fuzz/$3" input name
	[ -d "$found" ] || return 0
	mkdir -p "$kept"
	reached "$work" "^$target\$" >"$work/reached"
	find "$found" -type f -size -2k -printf '%s %p\n' | sort -n | cut -d' ' -f2- | while read -r input; do
		name=$(basename "$input")
		[ ! -e "$kept/$name" ] || continue
		cp "$input" "$kept/"
		reached "$work" "^$target\$/^$name\$" >"$work/by-input"
		if [ -n "$(comm -13 "$work/reached" "$work/by-input")" ]; then
			sort -u -o "$work/reached" "$work/reached" "$work/by-input"
		else
			rm "$kept/$name"
		fi
	done
	rmdir --ignore-fail-on-non-empty "$kept"
}

# reached <work> <tests> lists the statements that the tests reach.
reached() {
	"$1/cover" -test.run="$2" -test.coverprofile="$1/profile" >/dev/null
	awk 'NR > 1 && $3 > 0 {print $1}' "$1/profile" | sort -u
}
export -f fuzz keep reached

if [ $# -eq 0 ]; then
	mapfile -t all < <(targets)
	set -- "${all[@]}"
fi
printf '%s\n' "$@" | xargs -P "$FUZZJOBS" -I{} bash -euo pipefail -c 'fuzz {}'
