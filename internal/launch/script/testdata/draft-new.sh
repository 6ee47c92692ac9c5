# A launch draft that reads what the unified submit.py exports: slices of its own, MPI on workers, sentinels.
fail() {
  echo "draft: $1" >&2
  exit 1
}
mkdir -p "$testOutputDir"
srunArgs+=(--container-env=unused)
srunArgs=("${srunArgs[@]/--container-env=unused/--export=ALL}")
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
at=0
slice() {
  local list=("${nodes[@]:at:$1}")
  [ "${#list[@]}" = "$1" ] || fail "the job has ${#nodes[@]} nodes"
  at=$((at + $1))
  slice=$(IFS=,; echo "${list[*]}")
}
srun "${srunArgs[@]}" --ntasks-per-node=1 -n "$totalNodes" "$installScript" || fail install
for ((i = 0; i < numGenServers; i++)); do
  slice "$nodesPerGenServer"
  export DISAGG_SERVING_TYPE="GEN_$i" pytestCommand="$pytestCommandGENWorker"
  (
    srun "${srunArgs[@]}" --mpi=pmix --kill-on-bad-exit=1 -w "$slice" -N "$nodesPerGenServer" --ntasks="$gpusPerGenServer" \
      --ntasks-per-node="$gpusPerNodePerGenServer" "$runScript" &>"$testOutputDir/gen_server_$i.log"
    touch "$testOutputDir/gen_server_$i.done"
  ) &
done
for ((i = 0; i < numCtxServers; i++)); do
  slice "$nodesPerCtxServer"
  export DISAGG_SERVING_TYPE="CTX_$i" pytestCommand="$pytestCommandCTXWorker"
  srun "${srunArgs[@]}" --mpi=pmix --kill-on-bad-exit=1 -w "$slice" -N "$nodesPerCtxServer" --ntasks="$gpusPerCtxServer" \
    --ntasks-per-node="$gpusPerNodePerCtxServer" "$runScript" &>"$testOutputDir/ctx_server_$i.log" &
done
export DISAGG_SERVING_TYPE=DISAGG_SERVER pytestCommand="$pytestCommandDisaggServer"
srun "${srunArgs[@]}" --overlap -N 1 --ntasks=1 --ntasks-per-node=1 "$runScript" &>"$testOutputDir/disagg_server.log" &
export DISAGG_SERVING_TYPE=BENCHMARK pytestCommand="$pytestCommandBenchmark"
srun "${srunArgs[@]}" --overlap -N 1 --ntasks=1 --ntasks-per-node=1 "$runScript" || fail benchmark
wait
