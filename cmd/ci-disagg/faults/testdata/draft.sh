#!/bin/bash
# The plain launch draft, for comparison: one srun per role, servers in the background, the client in the foreground. Nobody
# looks after the servers; a client that cannot reach them gives up after 60 s. $1 is the workload, $2 its test id,
# $testOutputDir where all output goes.
set -u
cd "$1" || exit 78
test=$2
export PATH="$PWD/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
export TRTLLM_TEST_DISAGG_SERVER_READY_TIMEOUT=60
mkdir -p "${testOutputDir:?}"
# However the client ends, the servers go with the job.
trap 'scancel "$SLURM_JOB_ID"' EXIT

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
role() { # NAME NODE TASKS [srun options]
  local name=$1 node=$2 tasks=$3
  shift 3
  srun -J "$name" -w "$node" -N 1 -n "$tasks" --ntasks-per-node "$tasks" --overlap "$@" \
    --export "ALL,DISAGG_SERVING_TYPE=$name" bash -c "$command \"$test\"" >"$testOutputDir/$name.log" 2>&1
}
command='trtllm-llmapi-launch /usr/bin/python3 -m pytest -vv'
{
  role GEN_0 "${nodes[0]}" 2 --mpi=pmix
  date +%s.%N >"$testOutputDir/GEN_0.ended"
} &
role CTX_0 "${nodes[1]}" 1 --mpi=pmix &
command='/usr/bin/python3 -m pytest -vv'
role DISAGG_SERVER "${nodes[0]}" 1 &
role BENCHMARK "${nodes[0]}" 1
