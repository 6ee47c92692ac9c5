# A launch draft that reads what the first generation of submit.py exported.
fail() {
  echo "draft: $1" >&2
  exit 1
}
srun "${srunArgs[@]}" --ntasks-per-node=1 -n "$totalNodes" "$installScript" || fail install
for ((i = 0; i < numGenServers; i++)); do
  export DISAGG_SERVING_TYPE="GEN_$i"
  export pytestCommand="$pytestCommandWorker"
  srun "${srunArgs[@]}" --kill-on-bad-exit=1 -N "$nodesPerGenServer" --ntasks=$((nodesPerGenServer * gpusPerfNodePerfGenServer)) \
    --ntasks-per-node="$gpusPerfNodePerfGenServer" "$runScript" &>"$jobWorkspace/gen_server_$i.log" &
done
for ((i = 0; i < numCtxServers; i++)); do
  export DISAGG_SERVING_TYPE="CTX_$i"
  export pytestCommand="$pytestCommandWorker"
  srun "${srunArgs[@]}" --kill-on-bad-exit=1 -N "$nodesPerCtxServer" --ntasks=$((nodesPerCtxServer * gpusPerfNodePerfCtxServer)) \
    --ntasks-per-node="$gpusPerfNodePerfCtxServer" "$runScript" &>"$jobWorkspace/ctx_server_$i.log" &
done
export DISAGG_SERVING_TYPE=DISAGG_SERVER
export pytestCommand="$pytestCommandDisaggServer"
srun "${srunArgs[@]}" --overlap -N 1 --ntasks=1 --ntasks-per-node=1 "$runScript" &>"$jobWorkspace/disagg_server.log" &
export DISAGG_SERVING_TYPE=BENCHMARK
export pytestCommand="$pytestCommandBenchmark"
srun "${srunArgs[@]}" --overlap -N 1 --ntasks=1 --ntasks-per-node=1 "$runScript" || fail benchmark
wait
