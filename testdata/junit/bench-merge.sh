#!/usr/bin/env bash
# make bench-merge: ci-disagg merge beside the mergers that people use, same
# files, one run. Needs Debian's python3-junitparser, python3-lxml and time, and
# npm for the two others. RUNS=3 takes the fastest of three runs of each,
# BENCH_MB=30 smaller inputs, BENCH_ONLY='many.xml text.xml' some of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${BENCH_DIR:-$(mktemp -d)}
runs=${RUNS:-1}
[[ -n ${BENCH_DIR:-} ]] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/in" "$work/out"

for need in /usr/bin/time npm node; do
  command -v "$need" >/dev/null || { echo "bench-merge: $need is missing (Debian: time, npm)" >&2; exit 2; }
done
/usr/bin/python3 -c 'import junitparser, lxml' 2>/dev/null || { echo "bench-merge: install python3-junitparser and python3-lxml" >&2; exit 2; }
(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$work/ci-disagg" ./cmd/ci-disagg)
[[ -d $work/npm/node_modules ]] || npm install --silent --no-audit --no-fund --prefix "$work/npm" junit-report-merger@9.0.4 junit-merge@2.0.0 >/dev/null 2>&1
[[ -f $work/in/expected.json ]] || /usr/bin/python3 "$here/bench_gen.py" "$work/in"

# merge TOOL INPUT OUTPUT: one run; its seconds, processor seconds and KB into
# $work/time
merge() {
  local files=("$2") dir=
  if [[ -d $2 ]]; then
    files=("$2"/*.xml)
    dir=$2
  fi
  local cmd
  case $1 in
  lxml) cmd=(/usr/bin/python3 -c 'import sys
from lxml import etree
for path in sys.argv[1:]:
    for _, e in etree.iterparse(path, huge_tree=True, recover=True):
        e.clear()' "${files[@]}") ;;
  ci-disagg) cmd=("$work/ci-disagg" merge --quiet --no-fold --no-caps -o "$3" "$2") ;;
  junitparser) cmd=(/usr/bin/python3 -m junitparser merge "${files[@]}" "$3") ;;
  junit-report-merger) cmd=("$work/npm/node_modules/.bin/jrm" "$3" "${files[@]}") ;;
  junit-merge)
    cmd=("$work/npm/node_modules/.bin/junit-merge" -o "$3")
    if [[ -n $dir ]]; then cmd+=(-d "$dir"); else cmd+=("$2"); fi
    ;;
  esac
  NODE_OPTIONS=--max-old-space-size=12000 /usr/bin/time -q -f '%e %U %S %M' -o "$work/time" timeout 900 "${cmd[@]}" >"$work/log" 2>&1 || true
}

# best TOOL INPUT OUTPUT: the fastest of $runs runs
best() {
  for ((i = 0; i < runs; i++)); do
    rm -f "$3"
    merge "$1" "$2" "$3"
    tail -n 1 "$work/time"
  done | sort -n | head -n 1
}

declare -A seconds # of the processor
echo "| input | tool | s | MB/s | cpu s | peak MB | lost cases | wrong totals | output | text |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for input in ${BENCH_ONLY:-one-mb.xml many.xml props.xml text.xml output.xml few.xml small broken}; do
  mb=$(du -sb "$work/in/$input" | awk '{print $1 / 1e6}')
  for tool in ci-disagg junitparser junit-report-merger junit-merge lxml; do
    out=$work/out/$tool.xml
    read -r s user sys kb < <(best "$tool" "$work/in/$input" "$out")
    lost=- wrong=- form='(only read)' text=-
    [[ $tool == lxml ]] || read -r lost wrong form text < <(/usr/bin/python3 "$here/bench_check.py" "$work/in" "$input" "$out")
    seconds[$input.$tool]=$(awk -v u="$user" -v y="$sys" 'BEGIN { print u + y }')
    rm -f "$out"
    awk -v i="$input" -v t="$tool" -v s="$s" -v u="$user" -v y="$sys" -v kb="$kb" -v mb="$mb" -v l="$lost" -v w="$wrong" -v f="$form" -v x="$text" \
      'BEGIN { printf "| %s | %s | %.2f | %.1f | %.2f | %.0f | %s | %s | %s | %s |\n", i, t, s, mb / (s > 0 ? s : 0.01), u + y, kb / 1024, l, w, f, x }'
  done
done

echo
echo "| hostile input | s | peak MB | ends with |"
echo "|---|---|---|---|"
for input in one.xml deep.xml; do
  code=0
  /usr/bin/time -q -f '%e %M' -o "$work/time" "$work/ci-disagg" merge --quiet --no-caps -o "$work/out/h.xml" "$work/in/$input" >/dev/null 2>&1 || code=$?
  read -r s kb < <(tail -n 1 "$work/time")
  echo "| $input | $s | $((kb / 1024)) | exit $code |"
done
start=$(date +%s%N)
for _ in 1 2 3 4 5 6 7 8 9 10; do "$work/ci-disagg" version >/dev/null; done
echo
echo "start of the program: $((($(date +%s%N) - start) / 10000000)) ms"

echo
fail=0
for input in ${BENCH_ONLY:-one-mb.xml many.xml props.xml text.xml output.xml few.xml small}; do
  for tool in junitparser junit-report-merger junit-merge; do
    if awk -v a="${seconds[$input.ci-disagg]}" -v b="${seconds[$input.$tool]}" 'BEGIN { exit !(a > b) }'; then
      echo "more processor seconds than $tool on $input: ${seconds[$input.ci-disagg]} against ${seconds[$input.$tool]}"
      fail=1
    fi
  done
done
[[ $fail == 0 ]] && echo "fewer processor seconds than every tool on every input"
exit $fail
