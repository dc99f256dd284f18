#!/usr/bin/env bash
# The fast tests in a fresh environment of a given torch and Python, which is removed afterwards:
#   scripts/test_with.sh --torch 2.11.0 --python 3.12
#   scripts/test_with.sh --torch 2.15.0 --python 3.13 -- tests/ops/test_functional_vq.py -k exact
#   scripts/test_with.sh --torch 2.11.0 --python 3.10 --lowest
# What follows -- are pytest's arguments. With --lowest, what is required directly has the lowest
# version that is allowed, else the newest. The wheels of torch on PyPI are gigabytes. TMPDIR says
# where the environment goes; it needs 12 GB. The last line is the row of the table in
# docs/compatibility.md.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit "${1:-0}"; }
torch='' python='' resolution=highest
while [ $# -gt 0 ]; do
  case $1 in
    --torch) torch=${2-}; shift 2 || usage 2 ;;
    --python) python=${2-}; shift 2 || usage 2 ;;
    --lowest) resolution=lowest-direct; shift ;;
    -h | --help) usage ;;
    --) shift; break ;;
    *) echo "error: found $1, expected --torch VERSION, --python VERSION, --lowest or --" >&2; exit 2 ;;
  esac
done
for pair in "torch:$torch:2.11.0" "python:$python:3.12"; do
  IFS=: read -r name value example <<<"$pair"
  if ! [[ $value =~ ^[0-9]+\.[0-9]+(\.[0-9]+)?$ ]]; then
    echo "error: --$name: found '$value', expected a version such as $example" >&2; exit 2
  fi
done

. scripts/find_python.sh
interpreter=$(find_python "$python")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH
mkdir "$work/source" # a copy: this checkout's own build stays as it is
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/source"
cd "$work/source"
"$interpreter" -m venv "$work/venv"
. "$work/venv/bin/activate"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 MAS_FAST_CUDA=0
pip install --quiet --upgrade pip uv
pip install --quiet "torch==$torch" "setuptools>=77" cmake ninja pybind11
if [ $resolution = highest ]; then
  pip install --quiet --no-build-isolation -e ".[test]"
else
  uv pip install --quiet --no-build-isolation --resolution "$resolution" -e ".[test]" "torch==$torch"
fi
# The interpreter of Triton up to 3.6 takes arrays of one element for numbers, as NumPy before 2.4
# did.
case $(pip show triton | sed -n 's/^Version: //p') in 3.[0-6].*) pip install --quiet "numpy<2.4" ;; esac
mas-fast info
result=passed
python -m pytest -q "$@" 2>&1 | tee "$work/log" || result=FAILED
python - "$result" "$(tail -1 "$work/log")" <<'EOF'
import platform, sys
from importlib import metadata
versions = [platform.python_version(), *map(metadata.version, ("torch", "triton", "numpy"))]
print("|", " | ".join([*versions, sys.argv[1], sys.argv[2].strip("= ")]), "|")
EOF
[ "$result" = passed ]
