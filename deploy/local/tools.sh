#!/usr/bin/env bash
# Unpack Debian's promtool into .hub/tools, without installing anything; prints its path.
set -euo pipefail
cd "$(dirname "$0")/../.."
tool=.hub/tools/usr/bin/promtool
if [ ! -x "$tool" ]; then
  if command -v promtool > /dev/null; then
    command -v promtool
    exit 0
  fi
  command -v apt-get > /dev/null || { echo "promtool is needed: install Prometheus" >&2; exit 1; }
  mkdir -p .hub/tools/download
  (
    cd .hub/tools/download
    # Fails without an index; updating it needs rights that not everybody has.
    apt-get download -qq prometheus > /dev/null 2>&1 || { apt-get update -qq && apt-get download -qq prometheus; } > /dev/null
  )
  dpkg -x .hub/tools/download/prometheus_*.deb .hub/tools
  rm -rf .hub/tools/download
fi
echo "$PWD/$tool"
