#!/usr/bin/env bash
# Prints how many compile jobs fit this machine: one per core this process may use, and 2 GB of
# available memory for each.
set -euo pipefail

cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
fitting=$cores
if [ -r /proc/meminfo ]; then
  fitting=$(awk '/^MemAvailable:/ {print int($2 / 2000000)}' /proc/meminfo)
fi
jobs=$((cores < fitting ? cores : fitting))
echo $((jobs > 0 ? jobs : 1))
