# For scripts: where a Python of a version is.
# pythonX.Y on PATH, then pyenv's newest, then uv's: the first that runs and is of that version.
find_python() {
  local root=${PYENV_ROOT:-$HOME/.pyenv} minor one
  [[ $1 = *.*.* ]] && minor=${1%.*} || minor=$1
  while read -r one; do
    case "$("$one" -c 'import venv, platform; print(platform.python_version())' 2>/dev/null)" in
      "$1" | "$1".*) echo "$one"; return ;;
    esac
  done < <(
    type -aP "python$minor" || true
    ls -d "$root"/versions/*/bin/python 2>/dev/null | sort -Vr || true
    uv python find --no-project "$1" 2>/dev/null || true
  )
  echo "error: --python: found no Python $1 on PATH, in $root or by uv; run: uv python install $1 (or: pyenv install $1)" >&2
  return 1
}
