#!/bin/bash
# The deaths of real servers on one real GPU, each under real pytest and judged by ci-disagg:
#   BIN=bin/ci-disagg OUT=/tmp/out testdata/gpu/faults.sh [ROLE:FAULT...]
# Prints a line per death and ends with 1 when one was judged otherwise than it is written below.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${OUT:?where to write}
bin=${BIN:-bin/ci-disagg}
python=${PYTHON:-python3}
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0

# The small cases of the demo, made for this card: each server takes one GPU, where there is a second one.
split=tiny_1k1k_con4_ctx1_tp1_gen1_tp1
mkdir -p "$work/configs/disaggregated" "$work/configs/aggregated"
one='s/GB200/H200/; s/\(tensor_parallel_size\|moe_expert_parallel_size\): [24]/\1: 1/; s/tiny_tp4/tiny_tp1/'
sed "$one" "$here/../workload/configs/disaggregated/tiny_1k1k_con4_ctx1_tp1_gen1_tp2.yaml" >"$work/configs/disaggregated/$split.yaml"
sed "$one" "$here/../workload/configs/aggregated/tiny_grace_blackwell.yaml" >"$work/configs/aggregated/tiny_hopper.yaml"
# The Python that has PyTorch, whatever the stand-in's own is.
mkdir "$work/bin"
printf '#!/bin/bash\nexec %q %q "$@"\n' "$python" "$here/../workload/bin/trtllm-llmapi-launch" >"$work/bin/trtllm-llmapi-launch"
chmod +x "$work/bin/trtllm-llmapi-launch"

config() { # fault, more of the workload
  cat >"$work/ci-disagg.yaml" <<YAML
stage: gpu-faults
backend: local
runs_dir: $work/runs
workload:
  dir: $here/../workload
  disagg_configs: $work/configs/disaggregated
  agg_configs: $work/configs/aggregated
  pytest: $python -m pytest
  setup: export PATH="$work/bin:\$PATH" PYTHONDONTWRITEBYTECODE=1
  env: {CI_DISAGG_CUDA: "1", CI_DISAGG_POLL_S: "10", CI_DISAGG_FAULT: "$1"}
  grace: 5s
  $2
budgets: {ready: 2m, benchmark: 2m, drain: 30s}
perf: {off: true}
YAML
}

# judge WANTED-EXIT WANTED-ROOT WANTED-TEXT FAULT [GPUS] [MORE]
judge() {
  local exit=$1 root=$2 text=$3 fault=$4 gpus=${5-'gpus: {GEN_0: [0], CTX_0: [0]}'} code=0 began=$SECONDS id got line mark=ok test
  if [[ -n ${only[*]:-} && " ${only[*]} " != *" $fault "* ]]; then return; fi
  id=$(tr 'A-Z:_' 'a-z--' <<<"${fault:-good}-$exit")
  test="disagg_upload-e2e-$split"
  if [[ $fault == AGG:* ]]; then test=aggr_upload-tiny_hopper-tiny_tp1_1k1k gpus="gpus: {AGG: [0]}"; fi
  echo "perf/test_perf_sanity.py::test_e2e[$test]" >"$work/suite.txt"
  config "$fault" "$gpus"
  timeout -k 5 240 "$bin" run -c "$work/ci-disagg.yaml" --test-list "$work/suite.txt" --run-id "$id" >"$out/$id.console.txt" 2>&1 || code=$?
  got=- line=$(tail -n 1 "$out/$id.console.txt")
  if [[ -f $work/runs/$id/report/verdict.json ]]; then
    cp "$work/runs/$id/report/verdict.json" "$out/$id.verdict.json"
    IFS=$'\t' read -r got line < <("$python" -c '
import json, sys
case = json.load(open(sys.argv[1]))["cases"][0]
print((case.get("finding") or {}).get("root") or "-", " ".join(case["message"].split()), sep="\t")' "$out/$id.verdict.json")
  fi
  if [[ $code != "$exit" || $got != "$root" ]] || ! grep -qE "$text" "$out/$id.console.txt"; then
    mark=WRONG
    ((++wrong))
    tar -C "$work/runs/$id" -czf "$out/$id.tgz" . 2>/dev/null
  fi
  printf '%-5s | %-36s | %3s | %-9s | %3d s | %s\n' "$mark" "${fault:-nothing} ${6-}" "$code" "$got" $((SECONDS - began)) "$line" | tee -a "$out/table.txt"
}

only=("$@")
judge 0 - '1 passed' ''
judge 2 - 'GPU' '' '' 'on two GPUs of one'
judge 1 GEN_0 'OutOfMemoryError: CUDA out of memory' GEN_0:cuda-oom-while-serving
judge 1 GEN_0 'device-side assert triggered' GEN_0:cuda-assert-while-serving
judge 1 CTX_0 'illegal memory access' CTX_0:cuda-illegal-while-serving
judge 1 GEN_0 'OutOfMemoryError: CUDA out of memory' GEN_0:load-cuda-oom
judge 3 GEN_0 'SIGKILL' GEN_0:server-kill-while-serving
judge 3 CTX_0 'SIGKILL' CTX_0:server-kill-while-serving
judge 1 CTX_0 'SIGSEGV|segmentation' CTX_0:server-segv-while-serving
judge 1 GEN_0 'GEN_0' GEN_0:executor-500-while-serving
judge 1 GEN_0 'GEN_0' GEN_0:executor-silent-while-serving $'gpus: {GEN_0: [0], CTX_0: [0]}\n  hang: 15s'
judge 1 AGG 'OutOfMemoryError: CUDA out of memory' AGG:cuda-oom-while-serving
judge 1 AGG 'device-side assert triggered' AGG:cuda-assert-while-serving
judge 1 AGG 'illegal memory access' AGG:cuda-illegal-while-serving
judge 1 AGG 'OutOfMemoryError: CUDA out of memory' AGG:load-cuda-oom
judge 3 AGG 'SIGKILL' AGG:server-kill-while-serving
judge 1 BENCHMARK 'BENCHMARK' BENCHMARK:crash-while-serving
((wrong == 0)) || { echo "$wrong judged otherwise than wanted"; exit 1; }
