#!/bin/sh
# A prolog that fails on one node, later than that of the batch host, where the batch script then has begun.
[ "$SLURMD_NODENAME" = gpu1 ] || exit 0
sleep 3
exit 1
