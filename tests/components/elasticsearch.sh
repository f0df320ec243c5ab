#!/usr/bin/env bash
# Installs Elasticsearch's core from Maven Central: 96 MB, in $TRAILTAG_COMPONENTS/elasticsearch-VERSION. Prints that folder;
# does nothing when it is there.
# usage: elasticsearch.sh          install
#        elasticsearch.sh run      run it: the address comes on standard output once it is healthy; ends with the standard input
#
# The archive that Elastic puts there for the tests of other programs has no data streams, no lifecycle and no Kibana.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/search.sh"

install_server elasticsearch 9.2.0 org.elasticsearch.distribution.integ-test-zip \
    bf44938a0490ba2a303d39c9cb64b38963dd08c812ce93e10816e878585bcb6b
case ${1:-} in
'') echo "$home" ;;
run) run_server elasticsearch ES 'xpack.security.enabled: false' ;;
*) fail "usage: elasticsearch.sh [run]" ;;
esac
