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
# Approvals are signed with it.
need ssh-keygen openssh-client

# agents: installs the real agents of the tests, pinned and checked by their integrity hashes. They lie outside the
# repository: a cage that shows them must not show a part of one.
agents() {
  local wanted
  CTO_TEST_AGENTS=${CTO_TEST_AGENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/cto-test-agents}
  export CTO_TEST_AGENTS
  wanted=$(sha256sum scripts/agents/package-lock.json | cut -d' ' -f1)
  if [ "$(cat "$CTO_TEST_AGENTS/installed" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  need npm npm
  say "installing the agents of the tests from npm into $CTO_TEST_AGENTS"
  mkdir -p "$CTO_TEST_AGENTS"
  cp scripts/agents/package.json scripts/agents/package-lock.json "$CTO_TEST_AGENTS/"
  # Their install scripts only replace wrappers, which are never started.
  npm ci --prefix "$CTO_TEST_AGENTS" --ignore-scripts --no-audit --no-fund --silent
  printf '%s' "$wanted" > "$CTO_TEST_AGENTS/installed"
}

# browser: installs what drives and judges the panel in the tests, pinned and checked by its integrity hashes.
browser() {
  local wanted
  CTO_TEST_BROWSER=${CTO_TEST_BROWSER:-${XDG_CACHE_HOME:-$HOME/.cache}/cto-test-browser}
  export CTO_TEST_BROWSER
  need chromium chromium
  wanted=$(sha256sum scripts/browser/package-lock.json | cut -d' ' -f1)
  if [ "$(cat "$CTO_TEST_BROWSER/installed" 2>/dev/null)" = "$wanted" ]; then return 0; fi
  need npm npm
  say "installing the browser's driver from npm into $CTO_TEST_BROWSER"
  mkdir -p "$CTO_TEST_BROWSER"
  cp scripts/browser/package.json scripts/browser/package-lock.json "$CTO_TEST_BROWSER/"
  npm ci --prefix "$CTO_TEST_BROWSER" --ignore-scripts --no-audit --no-fund --silent
  printf '%s' "$wanted" > "$CTO_TEST_BROWSER/installed"
}
