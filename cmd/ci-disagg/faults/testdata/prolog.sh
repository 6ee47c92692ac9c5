#!/bin/sh
# A prolog that fails on one node.
[ "$SLURMD_NODENAME" != gpu1 ]
