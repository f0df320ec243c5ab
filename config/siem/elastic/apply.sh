#!/usr/bin/env bash
# Puts the ingest pipeline, the templates and the lifecycle policy of trailtag's findings into Elasticsearch or OpenSearch. Run
# it again after an update: it replaces what is there, but for what is yours; a data stream takes new mappings with its next
# index.
#
# usage: apply.sh elasticsearch|opensearch ADDRESS [CURL OPTION]...
#
# Credentials are for curl to find, not for this command line: --netrc-file FILE, --config FILE, or --header @FILE with
# "Authorization: ApiKey …" in it. --cacert FILE names the authority.
#   DATA_STREAM=no   plain indices of the same name in place of data streams; they get no lifecycle policy
#   PIPELINE=no      no ingest pipeline: findings do not say when they came into the index, and late ones raise no alert in Kibana
#   LIFECYCLE=no     no lifecycle policy: the server has none (serverless), or you have your own
set -euo pipefail

usage() {
    sed -n 's/^# usage: /usage: /p' "$0" >&2
    exit 64
}

[ $# -ge 2 ] || usage
product=$1 address=${2%/}
shift 2
options=("$@")
case $product in elasticsearch | opensearch) ;; *) usage ;; esac
here=$(cd "$(dirname "$0")" && pwd)
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# put PATH: what comes on standard input becomes what PATH names. A status in $allowed is no failure.
allowed=
put() {
    local status
    status=$(curl --silent --show-error --output "$answer" --write-out '%{http_code}' --request PUT \
        --header 'Content-Type: application/json' --data-binary @- "${options[@]}" "$address/$1") || exit
    case $status in
    2??) echo "applied $1" ;;
    *)
        if [ "$status" = "$allowed" ]; then
            echo "kept    $1"
        else
            printf 'error: %s/%s answers %s: %s\n' "$address" "$1" "$status" "$(head -c 2000 "$answer")" >&2
            exit 1
        fi
        ;;
    esac
}

# The lines that are left out of the index template; each is a line of its own in both files.
without=()
if [ "${DATA_STREAM:-yes}" = no ]; then
    # The policy begins with a rollover, and a plain index has nothing to roll over to: it would stay in error, and be kept for
    # ever. Nor may it find the policy's name that an earlier run left.
    without+=('"data_stream": {}' '^ *"trailtag-lifecycle",$')
    if [ "${LIFECYCLE:-yes}" != no ]; then
        echo "left out the lifecycle policy: it is for data streams; delete plain indices when they are old enough"
    fi
elif [ "${LIFECYCLE:-yes}" != no ]; then
    if [ "$product" = elasticsearch ]; then
        put _ilm/policy/trailtag <"$here/elasticsearch/lifecycle-policy.json"
        put _component_template/trailtag-lifecycle <"$here/elasticsearch/trailtag-lifecycle.json"
    else
        # OpenSearch replaces a policy only when it is told which version of it.
        allowed=409 put _plugins/_ism/policies/trailtag <"$here/opensearch/lifecycle-policy.json"
    fi
fi
if [ "${PIPELINE:-yes}" = no ]; then
    without+=('"final_pipeline"')
else
    # Before the template: an index whose pipeline is missing takes nothing.
    put _ingest/pipeline/trailtag <"$here/trailtag-pipeline.json"
fi
for name in trailtag-settings trailtag-ecs trailtag-findings; do
    put "_component_template/$name" <"$here/$name.json"
done
put _component_template/trailtag-cloudtrail <"$here/$product/trailtag-cloudtrail.json"

if [ "$product" = opensearch ]; then
    # Here a template's parts must exist, so yours begins empty. 400 says that it is there already; were it not, the template
    # below would be refused.
    allowed=400 put "_component_template/trailtag@custom?create=true" <<<'{"template": {}}'
fi

template=$(cat "$here/$product/index-template.json")
for line in "${without[@]}"; do
    template=$(grep -v "$line" <<<"$template")
done
put _index_template/trailtag <<<"$template"
