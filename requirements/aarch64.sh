# Shell function of ./run-tests: CPython for another processor, to be run by qemu-aarch64.

# make_aarch64 DIRECTORY REQUIREMENTS PIP: puts Debian's CPython for arm64 into DIRECTORY/root, with the link
# DIRECTORY/python to it, and the wheels of REQUIREMENTS for it into DIRECTORY/site. The packages are those of the
# machine's own apt sources, whose signatures apt checks, by an apt configuration of its own: nothing is installed. The
# copy of REQUIREMENTS put in last is the mark that DIRECTORY is complete.
make_aarch64() {
  local directory="$1" wanted="$2" pip="$3"
  cmp -s "$wanted" "$directory/requirements.txt" && return 0
  echo "Making $directory (once)..." >&2
  rm -rf "$directory"
  if ! { _unpack_aarch64_python "$directory" && _install_aarch64_wheels "$directory" "$wanted" "$pip" &&
    rm -rf "$directory/apt" && cp "$wanted" "$directory/requirements.txt"; }; then
    rm -rf "$directory"
    echo "warning: could not make $directory; the lines above say why. The tests that need it are not run" >&2
    return 1
  fi
}

_unpack_aarch64_python() {
  local directory="$1" package archive
  mkdir -p "$directory"/root "$directory"/apt/{state/lists,cache/archives}/partial && : >"$directory/apt/status" &&
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
    dpkg-deb --extract "$archive" "$directory/root" || return 1
  done
  # Where /usr is merged, no package holds /lib.
  [ -e "$directory/root/lib" ] || ln -s usr/lib "$directory/root/lib"
  ln -s "root/usr/bin/${package%-minimal}" "$directory/python"
}

_install_aarch64_wheels() {
  local directory="$1" wanted="$2" pip="$3" version
  version="$(readlink "$directory/python")"
  "$pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --no-compile \
    --python-version "${version##*python}" --implementation cp --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 --target "$directory/site" -r "$wanted" >&2
}
