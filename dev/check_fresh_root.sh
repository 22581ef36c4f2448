#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs README's two commands, of the tests and of the demo, each in a new Debian 12 root with nothing in it but the
# base system and the files of this checkout. Needs root, debootstrap and a mirror; CI does not run it.
# Usage: dev/check_fresh_root.sh [test|demo]...
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- test demo
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' |
  head -n 1)
work=$(mktemp -d)
trap 'umount "$work"/*/proc 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT

debootstrap --variant=minbase bookworm "$work/base" "${mirror:?apt names no mirror}" >"$work/log" ||
  { tail "$work/log"; exit 1; }
cp /etc/resolv.conf "$work/base/etc/"
cp -n /etc/apt/apt.conf.d/*proxy* "$work/base/etc/apt/apt.conf.d/" 2>/dev/null || true

for preset in "$@"; do
  echo "=== $preset, in a fresh root"
  cp -a "$work/base" "$work/$preset"
  mkdir "$work/$preset/detrame"
  git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null |
    tar cf - --no-recursion -T - | tar xf - -C "$work/$preset/detrame"
  command=$(grep -m1 -E "^sudo apt-get install.*--preset $preset" README.md)
  mount -t proc proc "$work/$preset/proc" || echo "no /proc in this root"
  chroot "$work/$preset" bash -ec "cd /detrame; export DEBIAN_FRONTEND=noninteractive; ${command//sudo /}"
  umount "$work/$preset/proc" || true
  rm -rf --one-file-system "${work:?}/$preset"
done
