# shellcheck shell=bash
# Shared by the scripts: from a fresh clone to a built package. Source it in the repository's root.

# Prints what to do when Node is missing or older than package.json asks for.
redex_check_node() {
  if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo 'redex needs Node.js 20.19 or newer, with npm: neither may be missing from the PATH' >&2
    return 1
  fi
  local found
  found=$(node -p 'process.versions.node') || return 1
  if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number);
                process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
    echo "redex needs Node.js 20.19 or newer; this is $found" >&2
    return 1
  fi
}

# Installs what package-lock.json says, unless node_modules already is in step with it. Install
# scripts are not run: native dependencies ship prebuilt binaries.
redex_install() {
  if node scripts/lib/in-step.mjs; then return 0; fi
  echo '== install'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || return 1
  if ! node -e "import('xxhash-addon')" 2>/dev/null; then
    echo 'xxhash-addon has no binary for this platform: run npm rebuild xxhash-addon' >&2
    return 1
  fi
}

redex_build() {
  echo '== build'
  npm run --silent build || return 1
}

redex_setup() {
  redex_check_node || return 1
  redex_install || return 1
  redex_build || return 1
}
