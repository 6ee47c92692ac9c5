# shellcheck shell=sh
# Finds ci-disagg, or downloads it once and checks its sha256, and writes its path and version to $CI_DISAGG_OUT.
# Everything comes from the environment: CI_DISAGG_BINARY, CI_DISAGG_URL, CI_DISAGG_SHA256, CI_DISAGG_CACHE, CI_DISAGG_OUT.
# Exit codes: 0 found, 2 wrong parameters or a wrong file, 3 it could not be had.
set +x
set -eu
: "${CI_DISAGG_URL:=}" "${CI_DISAGG_SHA256:=}" # withEnv takes an empty one out of the environment

fail() {
  code=$1
  shift
  echo "ciDisagg: $*" >&2
  exit "$code"
}

sum() { sha256sum <"$1" | cut -d ' ' -f 1; }

fetch() {
  if command -v curl >/dev/null; then
    curl --fail --silent --show-error --location --netrc-optional --retry 3 --connect-timeout 20 --max-time 600 --output "$1" -- "$CI_DISAGG_URL"
  elif command -v wget >/dev/null; then
    wget --quiet --tries=3 --timeout=60 --output-document="$1" -- "$CI_DISAGG_URL"
  else
    fail 3 "neither curl nor wget on this agent: put ci-disagg into its image"
  fi
}

case $CI_DISAGG_SHA256 in
*[!0-9a-f]*) fail 2 "sha256 is not 64 digits 0-9a-f" ;;
esac
[ -z "$CI_DISAGG_SHA256" ] || [ ${#CI_DISAGG_SHA256} -eq 64 ] || fail 2 "sha256 is not 64 digits 0-9a-f"

if [ -n "$CI_DISAGG_URL" ]; then
  [ -n "$CI_DISAGG_SHA256" ] || fail 2 "url without sha256"
  binary=$CI_DISAGG_CACHE/ci-disagg-$CI_DISAGG_SHA256
  if ! [ -f "$binary" ] || [ "$(sum "$binary")" != "$CI_DISAGG_SHA256" ]; then
    mkdir -p "$CI_DISAGG_CACHE"
    part=$binary.$$
    trap 'rm -f "$part"' EXIT
    fetch "$part" || fail 3 "download failed: $CI_DISAGG_URL"
    [ "$(sum "$part")" = "$CI_DISAGG_SHA256" ] || fail 2 "$CI_DISAGG_URL has sha256 $(sum "$part"), not $CI_DISAGG_SHA256: not used"
    chmod 755 "$part"
    mv -f "$part" "$binary"
  fi
else
  binary=$(command -v "$CI_DISAGG_BINARY") || fail 2 "no $CI_DISAGG_BINARY on this agent: put it into the agent's image, or give url and sha256"
  [ -z "$CI_DISAGG_SHA256" ] || [ "$(sum "$binary")" = "$CI_DISAGG_SHA256" ] || fail 2 "$binary has sha256 $(sum "$binary"), not $CI_DISAGG_SHA256: not used"
fi

version=$("$binary" version) || fail 2 "$binary version does not work here: wrong architecture?"
printf '%s\n%s\n' "$binary" "$version" >"$CI_DISAGG_OUT"
