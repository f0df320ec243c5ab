#!/usr/bin/env bash
# Installs what knows the languages of the remediation queries: sqlglot (SQL of Athena and Lake) and Elasticsearch's grammar of
# ES|QL for Python, from PyPI; Teragrep's parser of the Data Processing Language, which is Splunk's SPL, from Maven Central;
# Microsoft's own parser of KQL, from npm. 60 MB, in $TRAILTAG_COMPONENTS/queries-VERSION. Prints that folder. Does nothing
# when it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# tests/remediation/queries.rs looks for the same version. It is raised whenever one of these is.
version=1
sqlglot=30.30.0
esql=9.1.3
antlr=4.13.1
dpl=9.4.1
dpl_sha256=a5ac695479a8769837412de1f095cd3a9bdeb547e42c3aca9ab50fb52e00d335
kusto=12.4.1
kusto_sha256=ddb2a34d7d8c7e00c6d27d4ab263dccb3957855697771c2117e8a1da8de76fba
home=$TRAILTAG_COMPONENTS/queries-$version
if [ -d "$home" ]; then
    echo "$home"
    exit 0
fi

"$repository/tests/components/packages.sh" test
say "installing the parsers of queries into $home"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: it is put together aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part"' EXIT

# A download that is not what was pinned fails here.
cat >"$part/pinned.txt" <<TXT
sqlglot==$sqlglot --hash=sha256:06c4c212a7868c7dcff0fd0fda348dd3c5cbad40137b3083a70ecdfe22921cf9
esql-parser==$esql --hash=sha256:dd0ce4975bc000d2b048a7a666664ca5b57fb4871c88246cdf5abd2ef26a741e
antlr4-python3-runtime==$antlr --hash=sha256:78ec57aad12c97ac039ca27403ad61cb98aaec8a3f9bb8144f889aa0fa28b943
TXT
PIP_ROOT_USER_ACTION=ignore retry python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --requirement "$part/pinned.txt" --target "$part/python" >&2 || fail "pip could not fetch sqlglot and esql-parser"

retry mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    -Dartifact="com.teragrep:pth_03:$dpl" -DoutputDirectory="$part" >&2 || fail "Maven could not fetch pth_03 $dpl"
mv "$part/pth_03-$dpl.jar" "$part/dpl.jar"

(cd "$part" && retry npm pack --silent "@kusto/language-service-next@$kusto" >/dev/null) || fail "npm could not fetch KQL's parser $kusto"
mv "$part/kusto-language-service-next-$kusto.tgz" "$part/kusto.tgz"
sha256sum --check --status <<SUMS || fail "what Maven or npm fetched is not what is pinned"
$dpl_sha256  $part/dpl.jar
$kusto_sha256  $part/kusto.tgz
SUMS
mkdir "$part/kusto"
tar -xzf "$part/kusto.tgz" -C "$part/kusto" --strip-components 1 package/bridge.js package/Kusto.Language.Bridge.js package/package.json
rm "$part/kusto.tgz" "$part/pinned.txt"

chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home"
