#!/usr/bin/env bash
# An HTTP Event Collector that is not Splunk's and not ours: VictoriaLogs (Apache-2.0), built from the Go module proxy.
# usage: victorialogs.sh [install]      builds it into $TRAILTAG_COMPONENTS, unless it is there, and prints where it is
#        victorialogs.sh start FOLDER   starts it on a free port of the loopback, with FOLDER for data, log and pid; prints its address
#        victorialogs.sh stop FOLDER    ends what start began there
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The proxy serves this commit, and not what it requires of VictoriaMetrics,
# which is therefore raised to a release.
version=1.51.1-0.20260624061259-dc94972a8708
metrics=1.151.0
module=github.com/VictoriaMetrics/VictoriaLogs
home=$TRAILTAG_COMPONENTS/victorialogs-$version

# Go 1.21 and later fetch the toolchain that a module asks for.
go_1_21() { [ "$(go env GOVERSION | sed -n 's/^go1\.\([0-9]*\).*/\1/p')" -ge 21 ]; }

install() {
    [ ! -d "$home" ] || return 0
    "$repository/tests/components/packages.sh" test
    go_1_21 || fail "$(go version) is too old to build VictoriaLogs; install Go 1.21 or later (https://go.dev/dl)"
    say "building VictoriaLogs $version into $home (some minutes)"
    mkdir -p "$TRAILTAG_COMPONENTS"
    # Complete or absent: it is built aside, then moved into place in one step.
    part=$(mktemp -d "$home.part.XXXXXX")
    trap 'rm -rf "$part"' EXIT
    cat >"$part/go.mod" <<MOD
module localhost/victorialogs

go 1.26.0

tool $module/app/victoria-logs

require (
	$module v$version
	github.com/VictoriaMetrics/VictoriaMetrics v$metrics
)
MOD
    (
        cd "$part"
        export GOFLAGS=-mod=mod GOWORK=off GOTOOLCHAIN=auto CGO_ENABLED=0
        retry go mod tidy >&2 || fail "go could not fetch VictoriaLogs $version"
        # Two packages at a time: each takes memory.
        retry go build -p 2 -trimpath -ldflags '-s -w' -o victoria-logs "$module/app/victoria-logs" >&2 ||
            fail "go could not build VictoriaLogs $version"
    )
    chmod 755 "$part"
    # Another run may have been quicker.
    mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
}

alive() { [ -f "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

# The address that it listens on, from its own log: port 0 leaves the choice to the system.
address() { sed -n 's|.*started server at http://\(127\.0\.0\.1:[0-9]*\)/.*|\1|p' "$1/log" | head -n 1; }

start() {
    local folder=$1 at
    if alive "$folder"; then
        address "$folder"
        return
    fi
    [ -x "$home/victoria-logs" ] || fail "VictoriaLogs is missing; run tests/components/victorialogs.sh"
    mkdir -p "$folder"
    # -retentionPeriod: it refuses events that are older, and the examples are.
    setsid nohup "$home/victoria-logs" -httpListenAddr=127.0.0.1:0 -storageDataPath="$folder/data" -retentionPeriod=100y \
        -futureRetention=100y </dev/null >"$folder/log" 2>&1 &
    echo $! >"$folder/pid"
    for _ in $(seq 1 400); do
        at=$(address "$folder")
        if [ -n "$at" ]; then
            echo "$at"
            return
        fi
        alive "$folder" || break
        sleep 0.05
    done
    tail -n 20 "$folder/log" >&2
    fail "VictoriaLogs did not start"
}

case ${1:-install} in
install)
    install
    echo "$home/victoria-logs"
    ;;
start) start "${2:?a folder}" ;;
stop)
    if alive "${2:?a folder}"; then kill "$(cat "$2/pid")"; fi
    rm -f "$2/pid"
    ;;
*) fail "usage: victorialogs.sh [install] | start FOLDER | stop FOLDER" ;;
esac
