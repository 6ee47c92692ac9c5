# shellcheck shell=sh
# Writes what the workspace's clone knows to $CI_DISAGG_OUT, a line each: the commit of HEAD; with CI_DISAGG_TARGET (a branch)
# also the commit at which HEAD left that branch, and that commit's time. Exit code 1: there is no clone here.
set +x
set -eu
: "${CI_DISAGG_TARGET:=}" # withEnv takes an empty one out of the environment

git rev-parse --verify HEAD >"$CI_DISAGG_OUT" || {
  echo "ciDisagg: no commit: the workspace is no clone; pass commit:" >&2
  exit 1
}
[ -n "$CI_DISAGG_TARGET" ] || exit 0
for ref in "refs/remotes/origin/$CI_DISAGG_TARGET" "refs/heads/$CI_DISAGG_TARGET"; do
  if base=$(git merge-base "$ref" HEAD 2>/dev/null); then
    git show -s --format='%H%n%ct' "$base" >>"$CI_DISAGG_OUT"
    exit 0
  fi
done
echo "ciDisagg: no merge base with $CI_DISAGG_TARGET: the clone has no such branch, or is too shallow" >&2
