# Building this clone: sourced by scripts that do.

clone="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
# A clone elsewhere of the same text compiles from the cache.
export CCACHE_BASEDIR="$clone" CCACHE_NOHASHDIR=1

# build PRESET [TARGET...]
#
# Configures build/PRESET and builds the targets in it, or all, as soon as no other script builds
# in this clone.  A signal to the script ends what that has started as well.
build() {
  local status=0 signal
  set -m  # Gives what comes a process group, which a signal can reach as a whole.
  build_in_turn "$@" </dev/null &
  set +m
  for signal in HUP INT TERM; do
    trap "kill -- -$! || true; trap - $signal; kill -$signal \$\$" $signal
  done
  wait $! || status=$?
  trap - HUP INT TERM
  return $status
}

build_in_turn() {
  local preset="$1" lock
  shift
  cd "$clone" && mkdir -p build && exec {lock}>build/.lock || return
  flock --nonblock "$lock" || {
    echo "waiting for another build" >&2
    flock "$lock" || return
  }
  cmake --preset "$preset" --log-level=WARNING -Wno-dev >/dev/null &&
    cmake --build --preset "$preset" ${1:+--target "$@"} -j "$(nproc)"
}
