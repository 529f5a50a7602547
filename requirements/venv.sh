# Shell functions of ./pants and ./run-tests: find an interpreter, make a virtual environment whole or not at all.

# python_at_hand VERSION: prints the path of a CPython of that minor version; fails where there is none.
python_at_hand() {
  local version="$1" candidate
  for candidate in "$(command -v "python$version" || true)" \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version".*/bin/"python$version" \
    "$root/.cache/python"/*/bin/"python$version"; do
    if _is_python "$candidate" "$version"; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

# find_python VERSION: prints the path of a CPython of that minor version, fetching one if there is none.
find_python() {
  local version="$1" python3
  python_at_hand "$version" && return 0
  python3="$(command -v python3 || true)"
  if [ -n "$python3" ]; then
    echo "No CPython $version on PATH or under pyenv: fetching one with uv." >&2
    if "$python3" -m venv "$root/.cache/uv" >&2 && "$root/.cache/uv/bin/pip" install --quiet 'uv>=0.5,<1' >&2 &&
      "$root/.cache/uv/bin/uv" python install --install-dir "$root/.cache/python" "$version" >&2; then
      python_at_hand "$version" && return 0
    fi
  fi
  echo "error: no CPython $version was found on PATH or under pyenv, and none could be fetched;" \
    "install it (for instance with 'pyenv install $version' or your system's python$version and python$version-venv) and run this again" >&2
  return 1
}

# A pyenv shim may stand on PATH for a version that is not chosen: only running it tells. PYTHONPATH and the like of the
# caller must not reach it.
_is_python() {
  [ -x "$1" ] && [ "$("$1" -I -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$2" ]
}

# make_venv DIRECTORY VERSION REQUIREMENTS: the copy of REQUIREMENTS put in last is the mark that it is complete.
make_venv() {
  local venv="$1" version="$2" wanted="$3" python
  mkdir -p "$root/.cache"
  exec 9>"$root/.cache/venv.lock"
  if command -v flock >/dev/null; then flock 9; fi
  if cmp -s "$wanted" "$venv/requirements.txt"; then
    exec 9>&-
    return 0
  fi
  python="$(find_python "$version")"
  trap 'rm -rf "$venv"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  echo "Making $venv (once)..." >&2
  rm -rf "$venv"
  if ! { "$python" -I -m venv "$venv" &&
    "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$wanted" >&2 &&
    cp "$wanted" "$venv/requirements.txt"; }; then
    echo "error: could not make $venv from $wanted; the lines above say why. Nothing was kept: run this again" >&2
    exit 1
  fi
  trap - EXIT INT TERM
  exec 9>&-
}

# make_packages DIRECTORY PYTHON REQUIREMENTS: packages for PYTHONPATH, before those of a virtual environment.
make_packages() {
  local packages="$1" python="$2" wanted="$3"
  cmp -s "$wanted" "$packages/requirements.txt" && return 0
  echo "Making $packages (once)..." >&2
  rm -rf "$packages"
  if ! { "$python" -I -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-compile \
    --target "$packages" -r "$wanted" >&2 && cp "$wanted" "$packages/requirements.txt"; }; then
    rm -rf "$packages"
    echo "error: could not install $wanted into $packages; the lines above say why. Nothing was kept: run this again" >&2
    exit 1
  fi
}
