# Shell functions of ./pants and ./run-tests that find interpreters and create virtual environments. After an error, no
# incomplete environment is left.

# installed_python VERSION: prints the path of an installed CPython of this minor version. Fails if there is none.
installed_python() {
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

# find_python VERSION: prints the path of a CPython of this minor version, which is downloaded if none is installed.
find_python() {
  local version="$1" python3
  installed_python "$version" && return 0
  python3="$(command -v python3 || true)"
  if [ -n "$python3" ]; then
    echo "No CPython $version on PATH or under pyenv: downloading one with uv." >&2
    if "$python3" -m venv "$root/.cache/uv" >&2 && "$root/.cache/uv/bin/pip" install --quiet 'uv>=0.5,<1' >&2 &&
      "$root/.cache/uv/bin/uv" python install --install-dir "$root/.cache/python" "$version" >&2; then
      installed_python "$version" && return 0
    fi
  fi
  echo "error: no CPython $version was found on PATH or under pyenv, and none could be downloaded;" \
    "install it, for example with 'pyenv install $version' or as the packages python$version and python$version-venv," \
    "and run this again" >&2
  return 1
}

# PATH may contain a shim of pyenv for a version that is not selected; such a shim fails. With `-I`, PYTHONPATH and similar
# variables of the caller have no effect.
_is_python() {
  [ -x "$1" ] && [ "$("$1" -I -c 'import sys, venv, ensurepip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$2" ]
}

# make_venv DIRECTORY VERSION REQUIREMENTS: creates a virtual environment. The copy of REQUIREMENTS in the environment is
# written last: an environment without this copy is incomplete, and is created again.
make_venv() {
  local venv="$1" version="$2" requirements="$3" python
  mkdir -p "$root/.cache"
  exec 9>"$root/.cache/venv.lock"
  if command -v flock >/dev/null; then flock 9; fi
  if cmp -s "$requirements" "$venv/requirements.txt"; then
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
    "$venv/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$requirements" >&2 &&
    cp "$requirements" "$venv/requirements.txt"; }; then
    echo "error: could not make $venv from $requirements; see the lines above and run this again" >&2
    exit 1
  fi
  trap - EXIT INT TERM
  exec 9>&-
}

# make_packages DIRECTORY PYTHON REQUIREMENTS: installs packages for PYTHONPATH, where they precede the packages of a
# virtual environment.
make_packages() {
  local packages="$1" python="$2" requirements="$3"
  cmp -s "$requirements" "$packages/requirements.txt" && return 0
  echo "Making $packages (once)..." >&2
  rm -rf "$packages"
  if ! { "$python" -I -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --no-compile \
    --target "$packages" -r "$requirements" >&2 && cp "$requirements" "$packages/requirements.txt"; }; then
    rm -rf "$packages"
    echo "error: could not install $requirements into $packages; see the lines above and run this again" >&2
    exit 1
  fi
}
