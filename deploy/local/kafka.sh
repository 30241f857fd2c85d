#!/usr/bin/env bash
# Fetch Apache Kafka's jars by Maven into .hub/kafka/libs and check every one against the committed list.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
java_version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' || true)
[ "${java_version:-0}" -ge 17 ] || missing+=(openjdk-17-jre-headless)
command -v mvn > /dev/null || missing+=(maven)
if [ ${#missing[@]} -gt 0 ]; then
  sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    if sudo -n true 2> /dev/null; then sudo="sudo -n"; else sudo="no"; fi
  fi
  if ! command -v apt-get > /dev/null || [ "$sudo" = "no" ]; then
    echo "Java 17 or newer and Maven are needed. On Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing ${missing[*]} with apt-get ..."
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
fi
libs=.hub/kafka/libs
rm -rf "$libs"
mkdir -p "$libs"
echo "Fetching Apache Kafka by Maven ..."
with_us=()
# Linux: Maven ends with this script, even when it is killed.
if setpriv --version > /dev/null 2>&1; then with_us=(setpriv --pdeathsig KILL); fi
"${with_us[@]}" mvn --batch-mode --quiet -Dstyle.color=never --file deploy/local/pom.xml dependency:copy-dependencies \
  -DoutputDirectory="$PWD/$libs" -DincludeScope=runtime
list=$PWD/deploy/local/kafka-jars.sha256
if [ "${1:-}" = "--write-list" ]; then
  (cd "$libs" && sha256sum -- *.jar) > "$list"
fi
if ! (cd "$libs" && sha256sum --check --quiet --strict "$list"); then
  rm -rf "$libs"
  echo "A jar of Kafka is not the one that is listed in deploy/local/kafka-jars.sha256; nothing of it is used." >&2
  exit 1
fi
if [ "$(find "$libs" -name '*.jar' | wc -l)" -ne "$(wc -l < "$list")" ]; then
  rm -rf "$libs"
  echo "Maven fetched other jars than deploy/local/kafka-jars.sha256 lists; nothing of them is used." >&2
  exit 1
fi
touch "$libs/.checked"
