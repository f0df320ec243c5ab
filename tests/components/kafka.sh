#!/usr/bin/env bash
# Installs Apache Kafka's broker and tools from Maven Central: about 55 MB of jars, in $TRAILTAG_COMPONENTS/kafka-VERSION.
# Prints that folder. Does nothing when it is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# tests/broker/support/java.rs looks for the same version.
version=4.3.1
home=$TRAILTAG_COMPONENTS/kafka-$version
if [ -d "$home" ]; then
    echo "$home"
    exit 0
fi

"$repository/tests/components/packages.sh" test
say "installing Apache Kafka $version into $home"
mkdir -p "$TRAILTAG_COMPONENTS"
# Complete or absent: jars are gathered aside, then moved into place in one step.
part=$(mktemp -d "$home.part.XXXXXX")
trap 'rm -rf "$part"' EXIT

cat >"$part/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>trailtag</groupId>
  <artifactId>kafka</artifactId>
  <version>$version</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>$version</version>
    </dependency>
    <!-- Topics, groups and access lists on the command line. -->
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>$version</version>
    </dependency>
    <!-- Without a binding of slf4j 1.7 the broker logs nothing. -->
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.25.4</version>
    </dependency>
  </dependencies>
</project>
POM
# --strict-checksums: a jar that came damaged fails here, not in a test.
retry mvn --quiet --batch-mode --strict-checksums --file "$part/pom.xml" \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$part/libs" >&2 ||
    fail "Maven could not fetch Apache Kafka $version"
[ -f "$part/libs/kafka_2.13-$version.jar" ] || fail "Maven ended well, but kafka_2.13-$version.jar did not come"

cat >"$part/log4j2.yaml" <<'LOG'
Configuration:
  Appenders:
    Console: {name: console, target: SYSTEM_ERR, PatternLayout: {pattern: "%d %p %m (%c)%n"}}
  Loggers:
    Root: {level: "${sys:trailtag.level:-INFO}", AppenderRef: {ref: console}}
LOG

chmod 755 "$part"
# Another run may have been quicker.
mv -T "$part" "$home" 2>/dev/null || [ -d "$home" ] || fail "could not move $part to $home"
echo "$home"
