#!/usr/bin/env bash
# Builds tlsinspect and runs its demonstration: a server with good and bad certificates on the
# loopback interface, inspected. No network once the dependencies are there.
#
#   Scripts/demo.sh [arguments of "tlsinspect demo"]
#
# A debug build: it is there sooner, and the work of the demonstration is OpenSSL's, which is
# compiled already. What the build says goes to standard error, what the demo says to standard
# output, and the demo's exit code is this script's.

set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
-h | --help) usage && exit 0 ;;
esac

Scripts/install.sh >&2
need_swift
swift build --product tlsinspect >&2
exec "$(swift build --show-bin-path)/tlsinspect" demo "$@"
