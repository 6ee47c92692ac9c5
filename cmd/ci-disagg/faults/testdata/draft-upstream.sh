# A launch draft that does what upstream's does at its end: it leaves as soon as the client has, without waiting for the
# servers, whom Slurm then ends with the job; and when the client fails, it cancels its own job.
mkdir -p "$testOutputDir"
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
role() { # NAME NODE COMMAND [srun options]
  local name=$1 node=$2 command=$3
  shift 3
  DISAGG_SERVING_TYPE=$name pytestCommand=$command srun "${srunArgs[@]}" -w "$node" -N 1 --ntasks=1 --ntasks-per-node=1 \
    --overlap "$@" "$runScript" &>"$testOutputDir/$name.log"
}
role GEN_0 "${nodes[0]}" "$pytestCommandGENWorker" --mpi=pmix &
role CTX_0 "${nodes[1]}" "$pytestCommandCTXWorker" --mpi=pmix &
role DISAGG_SERVER "${nodes[0]}" "$pytestCommandDisaggServer" &
if ! role BENCHMARK "${nodes[0]}" "$pytestCommandBenchmark"; then
  scancel "$SLURM_JOB_ID"
  sleep 60
fi
