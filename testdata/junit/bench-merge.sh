#!/usr/bin/env bash
# make bench-merge: ci-disagg merge beside the mergers that people use, same files, one
# run: processor seconds and peak memory, as the table of docs/merge.md. Needs
# `.ci/setup bench`; the two mergers for Node come from npm.
# BENCH_MB=30 makes smaller inputs, RUNS=3 takes the fastest of three runs of each,
# BENCH_ONLY='many.xml text.xml' some inputs, BENCH_DIR keeps inputs and tools.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${BENCH_DIR:-$(mktemp -d)}
[[ -n ${BENCH_DIR:-} ]] || trap 'rm -rf "$work"' EXIT
mkdir -p "$work/out"
in=$work/in-${BENCH_MB:-100}
mergers=(junitparser junit-report-merger junit-merge)
read -ra inputs <<<"${BENCH_ONLY:-one-mb.xml many.xml props.xml text.xml output.xml suite.xml few.xml small broken}"

say() { echo "bench-merge: $*" >&2; }

(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$work/ci-disagg" ./cmd/ci-disagg)
if [[ ! -d $work/npm/node_modules ]]; then
  say "installing junit-report-merger and junit-merge"
  npm install --silent --no-audit --no-fund --prefix "$work/npm" junit-report-merger@9.0.4 junit-merge@2.0.0 >&2
fi
if [[ ! -f $in/expected.json ]]; then
  say "writing the inputs"
  mkdir -p "$in"
  /usr/bin/python3 "$here/bench_gen.py" "$in"
fi

# merge TOOL INPUT OUTPUT: one run; its processor seconds and KB, the fastest of $RUNS
merge() {
  local files=("$2") dir=() cmd
  if [[ -d $2 ]]; then
    files=("$2"/*.xml)
    dir=(-d "$2")
  fi
  case $1 in
  ci-disagg) cmd=("$work/ci-disagg" merge --quiet --no-fold --no-caps -o "$3" "$2") ;;
  junitparser) cmd=(/usr/bin/python3 -m junitparser merge "${files[@]}" "$3") ;;
  junit-report-merger) cmd=("$work/npm/node_modules/.bin/jrm" "$3" "${files[@]}") ;;
  junit-merge) cmd=("$work/npm/node_modules/.bin/junit-merge" -o "$3" "${dir[@]:-$2}") ;;
  lxml) cmd=(/usr/bin/python3 -c 'import sys
from lxml import etree
for path in sys.argv[1:]:
    for _, e in etree.iterparse(path, huge_tree=True, recover=True):
        e.clear()' "${files[@]}") ;;
  esac
  for ((i = 0; i < ${RUNS:-1}; i++)); do
    rm -f "$3"
    NODE_OPTIONS=--max-old-space-size=12000 /usr/bin/time -q -f '%U %S %M' -o "$work/time" timeout 900 "${cmd[@]}" >"$work/log" 2>&1 || true
    tail -n 1 "$work/time"
  done | awk '{ printf "%.2f %d\n", $1 + $2, $3 }' | sort -n | head -n 1
}

declare -A seconds
echo "| input | MB | ci-disagg | ${mergers[*]} | lxml |" | sed 's/ junit-/ | junit-/g'
echo "|---|---|---|---|---|---|---|"
for input in "${inputs[@]}"; do
  row="| $input | $(du -sb "$in/$input" | awk '{ printf "%.0f", $1 / 1e6 }') |"
  for tool in ci-disagg "${mergers[@]}" lxml; do
    say "$input with $tool"
    out=$work/out/$tool.xml
    read -r s kb < <(merge "$tool" "$in/$input" "$out")
    seconds[$input.$tool]=$s
    row+=" $s s, $((kb / 1024)) MB"
    [[ $tool == lxml ]] || row+=$(/usr/bin/python3 "$here/bench_check.py" "$in" "$input" "$out")
    row+=" |"
    rm -f "$out"
  done
  echo "$row"
done

for input in one.xml deep.xml; do
  code=0
  /usr/bin/time -q -f '%U %S %M' -o "$work/time" "$work/ci-disagg" merge --quiet --no-caps -o "$work/out/h.xml" "$in/$input" >/dev/null 2>&1 || code=$?
  read -r user sys kb < <(tail -n 1 "$work/time")
  printf '\n%s, hostile: %s s, %d MB, exit %d' "$input" "$(awk -v u="$user" -v y="$sys" 'BEGIN { print u + y }')" $((kb / 1024)) "$code"
done

printf '\n\n'
lost=0
for input in "${inputs[@]}"; do
  [[ $input != broken ]] || continue # the others give up at once
  for tool in "${mergers[@]}"; do
    if awk -v a="${seconds[$input.ci-disagg]}" -v b="${seconds[$input.$tool]}" 'BEGIN { exit !(a > b) }'; then
      echo "more processor seconds than $tool on $input: ${seconds[$input.ci-disagg]} against ${seconds[$input.$tool]}"
      lost=1
    fi
  done
done
((lost)) || echo "fewer processor seconds than every merger on every input"
exit "$lost"
