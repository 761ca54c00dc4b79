# Debian packages that a script needs: sourced by deploy/local/demo and tests/run.

# missing_packages PACKAGE...
#
# Prints those that are not installed, a line each, sorted.
missing_packages() {
  local package
  for package in $(printf '%s\n' "$@" | sort); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
      echo "$package"
  done
}

# install_packages PACKAGE...
#
# Installs them, as root or with sudo, without a question.
install_packages() {
  command -v apt-get >/dev/null || { echo "no apt-get here: install these by hand" >&2; return 1; }
  local as_root=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null ||
      { echo "neither root nor sudo: run apt-get install $*" >&2; return 1; }
    as_root=(sudo)
  fi
  # Old lists are good enough if they still lead to the packages.
  local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q
    --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 "$@")
  "${install[@]}" --simulate </dev/null >/dev/null 2>&1 && "${install[@]}" </dev/null && return 0
  "${as_root[@]}" apt-get update -q </dev/null && "${install[@]}" </dev/null
}
