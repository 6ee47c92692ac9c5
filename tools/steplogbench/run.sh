#!/usr/bin/env bash
# Reads one generated gen_server log with the shipped reader and with loop.py,
# and prints MB/s and peak memory of both. Fails unless the reader is at least
# 7 times as fast, stays under 64 MB and finds the same numbers.
# Usage: run.sh [MB]     (default 2000)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
size=${1:-2000}
rounds=${ROUNDS:-3}
python=${PYTHON:-/usr/bin/python3}
[[ -x /usr/bin/time ]] || { echo "run.sh: /usr/bin/time is missing: apt-get install time" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

(cd "$here" && go build -o "$dir/steplogbench" .)
log=$dir/gen_server_0.log
"$dir/steplogbench" -generate "$size" "$log"
cat "$log" >/dev/null # both read from the page cache

measure() { # name command...
  local name=$1 line
  shift
  line=$(/usr/bin/time -f "peak_kb=%M" -o "$dir/time" "$@")
  if [[ ! -e $dir/$name ]] || ((${line##*mb_per_s=} > $(field "$name" mb_per_s))); then
    echo "$line $(cat "$dir/time")" >"$dir/$name"
  fi
}
field() { sed "s/.*\b$2=\([^ ]*\).*/\1/" "$dir/$1"; }

# In turns, so that what else runs here slows both; the best of each counts.
for _ in $(seq "$rounds"); do
  measure go "$dir/steplogbench" "$log"
  measure python "$python" "$here/loop.py" "$log"
done

printf '%-10s %10s %12s %10s %10s %14s %14s\n' reader MB/s 'peak MB' rows tokens mean median
for name in go python; do
  printf '%-10s %10s %12s %10s %10s %14s %14s\n' "$name" "$(field $name mb_per_s)" "$(($(field $name peak_kb) / 1024))" \
    "$(field $name rows)" "$(field $name tokens)" "$(field $name mean)" "$(field $name median)"
done
awk -v go="$(field go mb_per_s)" -v py="$(field python mb_per_s)" -v kb="$(field go peak_kb)" \
  -v rows="$(field go rows)" -v pyrows="$(field python rows)" -v mean="$(field go mean)" -v pymean="$(field python mean)" \
  -v median="$(field go median)" -v pymedian="$(field python median)" '
  function off(a, b) { return a > b ? a / b - 1 : b / a - 1 }
  BEGIN {
    printf "%.1f times as fast, %.0f MB peak\n", go / py, kb / 1024
    if (rows != pyrows || off(mean, pymean) > 1e-8 || off(median, pymedian) > 5e-5) { print "the numbers differ"; exit 1 }
    if (go < 7 * py) { print "less than 7 times as fast"; exit 1 }
    if (kb >= 64 * 1024) { print "more than 64 MB"; exit 1 }
  }'
