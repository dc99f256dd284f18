#!/usr/bin/env bash
# Makes what a release consists of: everything of .ci/run passes first.
#   scripts/release.sh                       # into dist/
#   scripts/release.sh --output FOLDER
# The folder then has the sdist, the wheels of this machine's kind, an SBOM of an environment with one
# of them (CycloneDX) and SHA256SUMS. Nothing is uploaded, and no tag is set.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; exit "${1:-0}"; }
output=dist
while [ $# -gt 0 ]; do
  case $1 in
    --output) output=${2-}; shift 2 || usage 2 ;;
    -h | --help) usage ;;
    *) echo "error: found $1, expected --output FOLDER" >&2; exit 2 ;;
  esac
done
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' mas_fast/version.py)
if [ -n "$(git status --porcelain)" ]; then
  echo "error: found changes that are not committed, expected none: git status" >&2
  exit 1
fi
if ! grep -qE "^## \[$version\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md; then
  echo "error: CHANGELOG.md: found no line '## [$version] - YYYY-MM-DD', expected one for this version" >&2
  exit 1
fi
mkdir -p "$output"
output=$(realpath "$output")
if [ -n "$(ls -A "$output")" ]; then
  echo "error: --output: found files in $output, expected an empty folder" >&2
  exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.ci/run
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet cyclonedx-bom "setuptools>=77"
MAS_FAST_TORCH=0 "$work/tools/bin/python" setup.py -q egg_info -e "$work" sdist -d "$output"
scripts/build_wheels.sh --output "$output"
python3 -m venv "$work/installed"
"$work/installed/bin/pip" install --quiet "$(ls "$output"/*.whl | grep -m 1 "cp$(python3 -c 'import sys; print(*sys.version_info[:2], sep="")')")[onnx]"
"$work/tools/bin/cyclonedx-py" environment --output-format JSON -o "$output/mas_fast-$version.cdx.json" "$work/installed/bin/python"
(cd "$output" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
cat "$output/SHA256SUMS"
