#!/bin/bash
# Measures on one real GPU what ci-disagg's own sampler costs, and what it sees:
#   BIN=bin/ci-disagg OUT=/tmp/out testdata/gpu/machine.sh [whole|pairs|all]
# whole: runs of serve.py with telemetry; one beside a process of somebody else's, one that its own job heats.
# pairs: one server, and client runs with and without the sampler in turn, ABBA, until PAIRS are done and TIME is used.
set -uo pipefail
part=${1:-all}
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:?where to write}
bin=${BIN:-bin/ci-disagg}
python=${PYTHON:-python3}
TIME=${TIME:-515}   # seconds, after which no further pair begins
PAIRS=${PAIRS:-24}  # at least, if they fit in the time
MOST=${MOST:-32}
began=$SECONDS
mkdir -p "$out"
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; cp "$work"/*.log "$out"/ 2>/dev/null; exit' EXIT
say() { printf '%4d s  %s\n' $((SECONDS - began)) "$*" | tee -a "$out/log.txt"; }

cp "$here"/*.py "$work/"

config() { # name
  cat >"$work/$1.yaml"
}
config whole <<YAML
stage: gpu
backend: local
runs_dir: $work/runs
pipelines:
  model:
    roles:
    - name: server
      kind: server
      gpus: 1
      command: |
        if [[ \${HEAT_SECONDS:-0} != 0 ]]; then $python heat.py --seconds "\$HEAT_SECONDS" & fi
        exec $python serve.py --port {port}
      ready: {http: /health}
    - name: client
      kind: client
      command: [$python, client.py, --url, "{server.url}", --requests, "48", --out, "{out}/bench.json"]
      bench: [{reader: vllm, files: bench.json}]
workload:
  env: {HEAT_SECONDS: "0"}
  versions:
    torch: $python -c 'import torch; print(torch.__version__)'
    nccl: $python -c 'import torch; print(".".join(map(str, torch.cuda.nccl.version())))'
perf:
  store: dir:$work/store
  min_history: 7
machine: {telemetry: 500ms}
YAML
sed 's/HEAT_SECONDS: "0"/HEAT_SECONDS: "90"/' "$work/whole.yaml" >"$work/hot.yaml"

pairs_config() {
  config "$1" <<YAML
stage: sampler-$1
backend: local
runs_dir: $work/pairs-$1
pipelines:
  model:
    roles:
    - name: client
      kind: client
      gpus: 1
      command: [$python, client.py, --url, "http://127.0.0.1:8123", --requests, "${REQUESTS:-48}", --out, "{out}/bench.json"]
      bench: [{reader: vllm, files: bench.json}]

machine: {telemetry: $2, neighbours: 0}
perf: {off: true}
YAML
}

run() { # name, config: one run of ci-disagg, its directory and console kept
  local code=0 dir
  timeout -k 5 120 "$bin" run -c "$work/$2.yaml" --run-id "$1" >"$out/$1.console.txt" 2>&1 || code=$?
  dir=$(find "$work" -maxdepth 2 -type d -name "$1" | head -1)
  if [[ -n $dir ]]; then
    mkdir -p "$out/$1"
    tar -C "$dir" -czf "$out/$1/run.tgz" . 2>/dev/null
    for f in verdict.json summary.md index.html junit.xml; do
      find "$dir" -name "$f" -exec cp {} "$out/$1/" \; 2>/dev/null
    done
  fi
  say "$1: exit $code; $(sed -n '/[Pp]robably/{p;q}' "$out/$1.console.txt")"
}

whole() {
  nvidia-smi -q >"$out/q-idle.txt" 2>&1
  nvidia-smi nvlink -s >"$out/nvlink.txt" 2>&1
  for i in 1 2 3 4 5 6 7; do run "usual-$i" whole; done
  (while sleep 3; do nvidia-smi --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu,utilization.gpu,clocks_event_reasons.active --format=csv,noheader; done) >"$out/heat.csv" 2>/dev/null &
  local watch=$!
  pids+=("$watch")
  run hot hot
  nvidia-smi -q >"$out/q-after-hot.txt" 2>&1
  (cd "$work" && exec "$python" heat.py --seconds 90 >"$work/neighbour.log" 2>&1) &
  local thief=$!
  pids+=("$thief")
  sleep 6
  run neighbour whole
  kill "$thief" "$watch" 2>/dev/null
  wait "$thief" "$watch" 2>/dev/null
  run usual-8 whole
}

one() { # kind: throughput and TPOT of one run, "" if it failed
  local id code=0 file
  id="$1-$((++runs))"
  timeout -k 5 60 "$bin" run -c "$work/$1.yaml" --run-id "$id" >"$work/last.log" 2>&1 || code=$?
  file=$(find "$work/pairs-$1/$id" -name bench.json | head -1)
  if [[ $code != 0 || -z $file ]]; then
    say "$id: exit $code"
    cp "$work/last.log" "$out/$id.failed.txt"
    return 1
  fi
  "$python" -c 'import json,sys; d=json.load(open(sys.argv[1])); print(d["output_throughput"], d["median_tpot_ms"])' "$file" >"$work/value"
  if ((runs <= 4)); then tar -C "$work/pairs-$1/$id" -czf "$out/$id.tgz" . 2>/dev/null; fi
  rows=$(find "$work/pairs-$1/$id" -name '*.telemetry.csv' -exec cat {} + 2>/dev/null | wc -l)
}

pairs() {
  pairs_config on 2s
  pairs_config off 0s
  (cd "$work" && exec "$python" serve.py --port 8123 >"$work/server.log" 2>&1) &
  local server=$!
  pids+=("$server")
  for _ in $(seq 240); do
    "$python" -c 'import urllib.request as r; r.urlopen("http://127.0.0.1:8123/health", timeout=2)' 2>/dev/null && break
    sleep 0.5
  done
  say "the server is ready"
  runs=0
  one off || true
  one on || true
  printf 'pair\torder\ton\toff\ton_tpot_ms\toff_tpot_ms\tsamples\n' >"$out/pairs.tsv"
  local n=0 failed=0 first second order a b longest=0 start
  while ((n < MOST && failed < 4)); do
    if ((SECONDS - began + longest > TIME)); then break; fi
    start=$SECONDS
    if ((n % 2 == 0)); then order="on off"; else order="off on"; fi
    read -r first second <<<"$order"
    one "$first" || { ((++failed)); continue; }
    a=$(<"$work/value") rows_first=$rows
    one "$second" || { ((++failed)); continue; }
    b=$(<"$work/value")
    if [[ $first == off ]]; then local t=$a; a=$b b=$t; else rows=$rows_first; fi
    read -r on on_tpot <<<"$a"
    read -r off off_tpot <<<"$b"
    ((++n))
    printf '%d\t%s\t%s\t%s\t%s\t%s\t%s\n' "$n" "$order" "$on" "$off" "$on_tpot" "$off_tpot" "$rows" >>"$out/pairs.tsv"
    ((SECONDS - start > longest)) && longest=$((SECONDS - start))
    ((n % 4)) || say "$n pairs: $("$python" "$here/interval.py" "$out/pairs.tsv" | sed -n 1p)"
  done
  kill "$server" 2>/dev/null
  wait "$server" 2>/dev/null
  ((n >= PAIRS)) || say "only $n pairs of $PAIRS"
  "$python" "$here/interval.py" "$out/pairs.tsv" | tee "$out/interval.txt"
}

"$bin" version >"$out/version.txt" 2>&1
nvidia-smi --query-gpu=name,uuid,driver_version,clocks.max.sm,power.limit --format=csv >"$out/card.csv" 2>&1
cat "$out/card.csv"
[[ $part == pairs ]] || whole
[[ $part == whole ]] || pairs
say "done"
