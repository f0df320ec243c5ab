#!/usr/bin/env bash
# Installs OpenSearch without plugins from Maven Central: 160 MB, in $TRAILTAG_COMPONENTS/opensearch-VERSION. Prints that
# folder; does nothing when it is there.
# usage: opensearch.sh          install
#        opensearch.sh run      run it: the address comes on standard output once it is healthy; ends with the standard input
#
# Data streams are in it; security, index state management and alerting are plugins, and are not.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/search.sh"

# The analyzers of natural languages want all locales of a full Java; the standard one is not among them.
install_server opensearch 3.7.0 org.opensearch.distribution.integ-test-zip \
    c5c8eb3828a2aead77e9d3bb9d280f54c4de190b0b67f0e412c38663627f1b06 analysis-common
case ${1:-} in
'') echo "$home" ;;
run) run_server opensearch OPENSEARCH '' ;;
*) fail "usage: opensearch.sh [run]" ;;
esac
