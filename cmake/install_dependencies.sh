#!/usr/bin/env bash
# Installs what is missing of the packages that the purposes named need, through apt-get.
# Usage: cmake/install_dependencies.sh PURPOSE...   (library, examples, tests, benchmarks, all)
# Set ALBEF_NO_INSTALL=1 to only print what is missing.
set -euo pipefail

build_tools=(g++ cmake ninja-build)
library=(libeigen3-dev nlohmann-json3-dev libutf8proc-dev libarchive-dev libjpeg-dev libpng-dev
  libwebp-dev libgif-dev libtiff-dev libcairo2-dev fonts-dejavu-core libxtensor-dev)
examples=(libcli11-dev)
tests=(doctest-dev)
benchmarks=(libbenchmark-dev)

packages=("${build_tools[@]}" "${library[@]}")
for purpose in "$@"; do
  case "$purpose" in
    library) ;;
    examples) packages+=("${examples[@]}") ;;
    tests) packages+=("${tests[@]}") ;;
    benchmarks) packages+=("${benchmarks[@]}") ;;
    all) packages+=("${examples[@]}" "${tests[@]}" "${benchmarks[@]}") ;;
    *)
      echo "install_dependencies.sh: unknown purpose '$purpose';" \
        "expected library, examples, tests, benchmarks or all" >&2
      exit 2
      ;;
  esac
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  for tool in c++ cmake ninja; do
    if ! command -v "$tool" >/dev/null; then
      echo "This script installs packages with apt-get, which is not here, and '$tool' is missing." >&2
      echo "Install the equivalents of these Debian packages, then run again: ${packages[*]}" >&2
      exit 1
    fi
  done
  echo "No apt-get: taking the installed compiler, cmake and ninja; CMake names missing libraries."
  exit 0
fi

# A tool counts as present however it was installed; a library when its package (or one that
# provides it) is.
is_present() {
  case "$1" in
    g++ | cmake) command -v "$1" >/dev/null ;;
    ninja-build) command -v ninja >/dev/null ;;
    *) dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed ;;
  esac
}

missing=()
for package in "${packages[@]}"; do
  is_present "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ -n "${ALBEF_NO_INSTALL:-}" ]; then
  echo "Missing, and not installed because ALBEF_NO_INSTALL is set: ${missing[*]}" >&2
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Missing: ${missing[*]}" >&2
    echo "Not root and no sudo. As root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# A failing update (a mirror that is down, an unrelated source) need not stop the installation.
"${as_root[@]}" apt-get update -qq >"$log" 2>&1 || true
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
  --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install: ${missing[*]}" >&2
  exit 1
fi
