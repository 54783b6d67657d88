# Shared by the scripts here: installs what is missing, and says what it does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

# need PROGRAM PACKAGE…: installs Debian packages when the program is not there.
need() {
  local program=$1
  shift
  command -v "$program" >/dev/null 2>&1 && return 0
  local sudo=""
  if [ "$(id -u)" -ne 0 ]; then
    sudo=sudo
    command -v sudo >/dev/null 2>&1 || { echo "error: install $* as root, then run this again" >&2; exit 1; }
  fi
  say "installing $*"
  if [ -z "${APT_UPDATED:-}" ]; then
    $sudo apt-get update -qq
    APT_UPDATED=1
  fi
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

command -v cargo >/dev/null 2>&1 || { echo "error: install a Rust toolchain of version 1.95 or newer (https://rustup.rs), then run this again" >&2; exit 1; }
need cc gcc libc6-dev
need git git
need python3 python3

# agents: installs the real agents of the tests below target/agents, pinned and checked by their integrity hashes.
agents() {
  local wanted
  wanted=$(sha256sum scripts/agents/package-lock.json | cut -d' ' -f1)
  if [ "$(cat target/agents/installed 2>/dev/null)" = "$wanted" ]; then return 0; fi
  need npm npm
  say "installing the agents of the tests from npm"
  mkdir -p target/agents
  cp scripts/agents/package.json scripts/agents/package-lock.json target/agents/
  # Their install scripts only replace wrappers, which are never started.
  npm ci --prefix target/agents --ignore-scripts --no-audit --no-fund --silent
  printf '%s' "$wanted" > target/agents/installed
}
