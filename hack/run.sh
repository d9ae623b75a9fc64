#!/usr/bin/env bash
# Starts everything on this machine: the functions of config/ with sample rows,
# one event of each type, and what came of it. Ctrl-C ends it. Arguments go to
# `wildout dev`, such as --listen 127.0.0.1:9000.
set -euo pipefail
cd "$(dirname "$0")/.."
exec bin/wildout dev --demo "$@"
