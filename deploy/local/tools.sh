#!/usr/bin/env bash
# Find a Debian tool that a test needs, or unpack it into .hub/tools; nothing is installed. Prints where it is.
#   tools.sh promtool    the program
#   tools.sh postgres    the folder of PostgreSQL's programs
#   tools.sh chromium    the program
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=.hub/tools

unpack() { # packages
  command -v apt-get > /dev/null || { echo "$tool is needed: install it" >&2; exit 1; }
  mkdir -p "$tools/download"
  (
    cd "$tools/download"
    # Fails without an index; updating it needs rights that not everybody has.
    apt-get download -qq "$@" > /dev/null 2>&1 || { apt-get update -qq && apt-get download -qq "$@"; } > /dev/null
  )
  for package in "$tools"/download/*.deb; do dpkg -x "$package" "$tools"; done
  rm -rf "$tools/download"
}

tool=${1:?promtool, postgres or chromium}
case "$tool" in
  promtool)
    if [ ! -x "$tools/usr/bin/promtool" ]; then
      if command -v promtool; then exit 0; fi
      unpack prometheus
    fi
    echo "$PWD/$tools/usr/bin/promtool"
    ;;
  postgres)
    find_it() { { find "$@" -maxdepth 3 -path '*/bin/initdb' 2> /dev/null || true; } | sort -V | tail -n 1; }
    found=$(find_it "$tools/usr/lib/postgresql" /usr/lib/postgresql)
    if [ -z "$found" ]; then
      version=$(apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
      # What the system lacks of its libraries comes along.
      missing=()
      for library in $(apt-cache depends "postgresql-$version" | sed -n 's/.*Depends: \(lib[a-z0-9.+-]*\)$/\1/p'); do
        dpkg -s "$library" > /dev/null 2>&1 || missing+=("$library")
      done
      unpack "postgresql-$version" "postgresql-client-$version" "${missing[@]}"
      found=$(find_it "$tools/usr/lib/postgresql")
    fi
    [ -n "$found" ] || { echo "PostgreSQL is needed: install postgresql" >&2; exit 1; }
    (cd "$(dirname "$found")" && pwd)
    ;;
  chromium)
    found=$tools/usr/lib/chromium/chromium
    if [ ! -x "$found" ]; then
      for program in chromium chromium-browser google-chrome; do
        if command -v "$program"; then exit 0; fi
      done
      # What the system lacks of its libraries comes along, with a font to measure text by.
      plan() { apt-get install --simulate --no-install-recommends chromium fonts-dejavu-core 2> /dev/null; }
      planned=$(plan || { apt-get update -qq && plan; })
      mapfile -t missing < <(sed -n 's/^Inst \([^ ]*\) .*/\1/p' <<< "$planned")
      unpack "${missing[@]}"
    fi
    [ -x "$found" ] || { echo "Chromium is needed: install chromium" >&2; exit 1; }
    echo "$PWD/$found"
    ;;
  *)
    echo "no such tool: $tool" >&2
    exit 2
    ;;
esac
