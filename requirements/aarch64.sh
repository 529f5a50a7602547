# Shell function of ./run-tests that unpacks a CPython for arm64, which qemu-aarch64 runs.

# make_aarch64 DIRECTORY REQUIREMENTS PIP: unpacks Debian's CPython for arm64 to DIRECTORY/files, creates the link
# DIRECTORY/python to the interpreter, and installs the wheels of REQUIREMENTS for arm64 to DIRECTORY/site. The packages
# come from the apt sources of the machine. apt verifies their signatures and, with a separate configuration, installs
# nothing. The copy of REQUIREMENTS, which is written last, marks DIRECTORY as complete.
make_aarch64() {
  local directory="$1" requirements="$2" pip="$3"
  # Earlier versions of this script unpacked to another directory.
  cmp -s "$requirements" "$directory/requirements.txt" && [ -d "$directory/files" ] && return 0
  echo "Making $directory (once)..." >&2
  rm -rf "$directory"
  if ! { _unpack_aarch64_python "$directory" && _install_aarch64_wheels "$directory" "$requirements" "$pip" &&
    rm -rf "$directory/apt" && cp "$requirements" "$directory/requirements.txt"; }; then
    rm -rf "$directory"
    echo "warning: could not make $directory; see the lines above. The tests that need it are skipped" >&2
    return 1
  fi
}

_unpack_aarch64_python() {
  local directory="$1" package archive
  mkdir -p "$directory"/files "$directory"/apt/{state/lists,cache/archives}/partial && : >"$directory/apt/status" &&
    cat >"$directory/apt/apt.conf" <<CONF || return 1
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "$directory/apt/state";
Dir::State::status "$directory/apt/status";
Dir::Cache "$directory/apt/cache";
CONF
  local -x APT_CONFIG="$directory/apt/apt.conf"
  apt-get update -qq >&2 || return 1
  # python3-minimal depends on the interpreter of this release of Debian: python3.11-minimal.
  package="$(apt-cache depends python3-minimal | grep -o 'python3\.[0-9]*-minimal' | head -n 1)"
  apt-get install -qq --yes --no-install-recommends --download-only "$package" "lib${package%-minimal}-stdlib" >&2 || return 1
  for archive in "$directory"/apt/cache/archives/*.deb; do
    dpkg-deb --extract "$archive" "$directory/files" || return 1
  done
  # With a merged /usr, no package contains /lib.
  [ -e "$directory/files/lib" ] || ln -s usr/lib "$directory/files/lib"
  ln -s "files/usr/bin/${package%-minimal}" "$directory/python"
}

_install_aarch64_wheels() {
  local directory="$1" requirements="$2" pip="$3" version
  version="$(readlink "$directory/python")"
  "$pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --no-compile \
    --python-version "${version##*python}" --implementation cp --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 --target "$directory/site" -r "$requirements" >&2
}
