# What elasticsearch.sh and opensearch.sh share; to be sourced.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# install NAME VERSION GROUP SHA256 [MODULE]...: puts the server into $TRAILTAG_COMPONENTS/NAME-VERSION, which becomes $home,
# without these of its modules.
install_server() {
    local name=$1 version=$2 group=$3 sha256=$4 module
    shift 4
    home=$TRAILTAG_COMPONENTS/$name-$version
    [ ! -d "$home" ] || return 0

    "$repository/tests/components/packages.sh" test
    say "installing $name $version into $home"
    mkdir -p "$TRAILTAG_COMPONENTS"
    # Complete or absent: it is unpacked aside, then moved into place in one step.
    local part
    part=$(mktemp -d "$home.part.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$part'" EXIT
    retry mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        -Dartifact="$group:$name:$version:zip" -DoutputDirectory="$part" >&2 ||
        fail "Maven could not fetch $name $version"
    # Not every mirror has checksums beside these archives, so what is right is pinned.
    echo "$sha256  $part/$name-$version.zip" | sha256sum --check --status ||
        fail "what Maven fetched is not $name $version: its SHA-256 is not $sha256"
    unzip -q "$part/$name-$version.zip" -d "$part"
    for module in "$@"; do rm -r "$part/$name-$version/modules/${module:?}"; done
    # Its configuration is for its owner alone, and a folder of components may be shared.
    chmod -R a+rX "$part/$name-$version"
    # Another run may have been quicker.
    mv -T "$part/$name-$version" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
    rm -rf "$part"
    trap - EXIT
}

# run_server NAME UPPER: runs $home on free ports of 127.0.0.1, with its data in a folder of its own. Prints the address once
# the server is healthy, and stops it when the standard input ends, however it ends: so it cannot outlive a test.
run_server() {
    local name=$1 upper=$2 java heap=${HEAP:-512m} as=() user
    java=$("$repository/tests/components/java.sh")
    folder=$(mktemp -d "${TMPDIR:-/tmp}/trailtag-$name.XXXXXX")
    trap 'stop_server' EXIT
    # A shell that a signal ends runs what is trapped on EXIT only then.
    trap 'exit 1' INT TERM HUP

    # The server refuses root, and may not be able to read what is root's: it gets a copy that is nobody's.
    if [ "$(id -u)" = 0 ]; then
        user=$(id -u nobody)
        as=(setpriv "--reuid=$user" "--regid=$(id -g nobody)" --clear-groups)
        cp -r "$home" "$folder/home"
        home=$folder/home
        if ! (cd / && "${as[@]}" "$java/bin/java" -version >/dev/null 2>&1); then
            cp -rL "$java" "$folder/java"
            java=$folder/java
        fi
    fi
    mkdir "$folder/logs" "$folder/tmp"
    cp -r "$home/config" "$folder/config"
    cat >"$folder/config/$name.yml" <<YML
cluster.name: trailtag
node.name: one
discovery.type: single-node
network.host: 127.0.0.1
# Any that is free; it is written to logs/http.ports.
http.port: 0
transport.port: 0
node.portsfile: true
path.data: $folder/data
path.logs: $folder/logs
# A disk that is almost full is no fault of the tests.
cluster.routing.allocation.disk.threshold_enabled: false
$3
YML
    # The serial collector needs fewest threads. A small Java lacks the vector module. No log of the collector.
    sed -i -E '/UseG1GC|G1ReservePercent|InitiatingHeapOccupancyPercent|incubator\.vector|-Xlog:gc/d' "$folder/config/jvm.options"
    if [ ${#as[@]} -gt 0 ]; then chown -R "$user" "$folder"; fi

    local options="-Xms$heap -Xmx$heap -XX:+UseSerialGC"
    (
        cd "$home" || exit
        exec "${as[@]}" env "${upper}_JAVA_HOME=$java" "${upper}_PATH_CONF=$folder/config" "${upper}_TMPDIR=$folder/tmp" \
            "${upper}_JAVA_OPTS=$options" HOME="$folder" "$home/bin/$name" -p "$folder/pid"
    ) </dev/null >"$folder/out.log" 2>&1 &
    server=$!

    # Until it is healthy, or ends, or nobody waits any more. What follows a line on our input is of no use to us.
    local tries address ended
    for ((tries = 0; tries < 1200; tries++)); do
        if [ -s "$folder/logs/http.ports" ]; then
            address=http://$(grep -m 1 '^127' "$folder/logs/http.ports")
            if curl --silent --fail --max-time 5 --output /dev/null "$address/_cluster/health?wait_for_status=yellow"; then
                echo "$address"
                cat >/dev/null
                return
            fi
        fi
        kill -0 "$server" 2>/dev/null || break
        # The pause and the look at the input in one: 0 and more is a line, 1 is its end, above 128 is a time that is over.
        ended=0
        read -r -t 0.1 || ended=$?
        [ "$ended" != 1 ] || return 0
    done
    tail -n 30 "$folder/out.log" >&2
    fail "$name did not become healthy"
}

# Ends the server, and waits: its launcher ends after it.
stop_server() {
    local pid=
    [ -s "$folder/pid" ] && pid=$(cat "$folder/pid")
    # Nothing in its data is worth a slow stop.
    [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$folder"
}
