"""Real errors of a real GPU, for a server that CI_DISAGG_CUDA has told to use one. They need PyTorch, and CuPy for a
kernel of their own; nothing is imported before it is asked for."""

held = []


def hold():
    """A context and a GiB of memory, as a server has that serves: the driver has to free both when it dies."""
    import torch

    held.append(torch.ones(1 << 28, device="cuda"))
    torch.cuda.synchronize()


def fail(what):
    """Raises what PyTorch raises; after cuda-assert and cuda-illegal the context is of no more use, as in earnest."""
    import torch

    if what == "cuda-oom":
        held.append(torch.empty(1 << 48, dtype=torch.uint8, device="cuda"))
    elif what == "cuda-assert":
        table = torch.ones(8, device="cuda")
        table[torch.full((64,), 1 << 20, device="cuda")]
    elif what == "cuda-illegal":
        import cupy

        kernel = cupy.RawKernel("extern \"C\" __global__ void wild(long long p) { *(int *)p = 1; }", "wild")
        kernel((1,), (1,), (cupy.int64(16),))
    torch.cuda.synchronize()
    raise RuntimeError(f"{what} did not fail")
