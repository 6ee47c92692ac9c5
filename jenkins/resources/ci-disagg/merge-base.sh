# shellcheck shell=sh
# Writes the commit at which HEAD left the target branch, and that commit's time, to $CI_DISAGG_OUT.
# Everything comes from the environment: CI_DISAGG_TARGET (a branch), CI_DISAGG_OUT. Exit code 1: not known here, say why.
set +x
set -eu

if [ -z "$CI_DISAGG_TARGET" ]; then
  echo "ciDisagg: no merge base: \$CHANGE_TARGET is not set" >&2
  exit 1
fi
for ref in "refs/remotes/origin/$CI_DISAGG_TARGET" "refs/heads/$CI_DISAGG_TARGET"; do
  if base=$(git merge-base "$ref" HEAD 2>/dev/null); then
    git show -s --format='%H%n%ct' "$base" >"$CI_DISAGG_OUT"
    exit 0
  fi
done
echo "ciDisagg: no merge base with $CI_DISAGG_TARGET: the clone has no such branch, or is too shallow" >&2
exit 1
