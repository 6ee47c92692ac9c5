"""Multiplies matrices on the GPU for so many seconds: work that takes it to its power limit, and from others."""

import argparse
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--seconds", type=float, default=60)
options = parser.parse_args()
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
b = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
end = time.monotonic() + options.seconds
while time.monotonic() < end:
    for _ in range(20):
        torch.matmul(a, b)
    torch.cuda.synchronize()
