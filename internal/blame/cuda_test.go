package blame_test

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// cudaErrors are the errors of the libraries by library and code, as [name, text], as they give them themselves: see
// testdata/README.md.
func cudaErrors(t *testing.T, library string) map[int][2]string {
	t.Helper()
	b, err := os.ReadFile("testdata/cuda-errors.json")
	require.NoError(t, err)
	var all map[string]map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(b, &all))
	out := map[int][2]string{}
	for code, raw := range all[library] {
		n, err := strconv.Atoi(code)
		require.NoError(t, err)
		var pair [2]string
		if json.Unmarshal(raw, &pair) != nil { // NCCL's have no name
			require.NoError(t, json.Unmarshal(raw, &pair[1]))
		}
		out[n] = pair
	}
	return out
}

// The codes that speak against the machine: its GPUs, its driver, its fabric, its MPS, somebody else on the GPU.
func cudaInfra() map[int]bool {
	m := map[int]bool{}
	for _, n := range []int{34, 35, 36, 46, 100, 102, 103, 214, 216, 220, 226, 714, 802, 803, 804, 805, 806, 807, 808, 809, 810, 911, 916, 999} {
		m[n] = true
	}
	return m
}

// Every error of CUDA has the class it deserves, in each spelling in which programs print it.
func TestCUDAErrors(t *testing.T) {
	t.Parallel()
	c := classes(t)
	infra := cudaInfra()
	for _, library := range []string{"cudart", "driver"} {
		errs := cudaErrors(t, library)
		require.Greater(t, len(errs), 90)
		for code, e := range errs {
			if code == 0 {
				continue
			}
			want := blame.Test
			if infra[code] {
				want = blame.Infra
			}
			name, text := e[0], e[1]
			for _, line := range []string{
				"RuntimeError: CUDA error: " + text,
				"[rank3]: torch.AcceleratorError: CUDA error: " + text,
				"E   torch.AcceleratorError: CUDA error: " + name + ": " + text,
				"Search for `" + name + "' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.",
				"[TensorRT-LLM][ERROR] CUDA runtime error in cudaStreamSynchronize(stream): " + text + " (/src/cudaUtils.h:98)",
				"[TensorRT-LLM][ERROR] CUDA driver error in cuMemCreate(&h, size, &prop, 0): " + name + ": " + text + ".",
				"  what():  [TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMalloc(ptr, n): " + text,
				"n1:88:91 [0] init.cc:412 NCCL WARN Cuda failure " + strconv.Itoa(code) + " '" + text + "'",
				"n1:88:91 [0] init.cc:412 NCCL WARN Cuda failure '" + text + "'",
			} {
				r, ok := c.Match(line)
				require.Truef(t, ok, "nothing matches %q", line)
				require.Equalf(t, want, r.Class, "%d by rule %s: %q", code, r.Name, line)
			}
		}
	}
}

// What a class leads to: memory and wild kernels have names of their own.
func TestCUDAErrorRules(t *testing.T) {
	t.Parallel()
	c := classes(t)
	want := map[int]string{
		2: "cuda-out-of-memory", 214: "gpu-ecc", 700: "cuda-illegal-access", 710: "cuda-illegal-access", 715: "cuda-illegal-access",
		716: "cuda-illegal-access", 717: "cuda-illegal-access", 718: "cuda-illegal-access", 719: "cuda-illegal-access",
		46: "cuda-device-fault", 226: "nvlink", 802: "nvlink", 805: "cuda-device-fault", 999: "cuda-device-fault", 1: "cuda-error",
	}
	for code, e := range cudaErrors(t, "cudart") {
		if rule, ok := want[code]; ok {
			for _, line := range []string{"RuntimeError: CUDA error: " + e[1], "CUDA error: " + e[0]} {
				r, _ := c.Match(line)
				require.Equal(t, rule, r.Name, line)
			}
		}
	}
}

// NCCL and cuBLAS pass on what happened below or elsewhere; only misuse is the program's for certain, and what the
// system or NCCL itself could not do explains a failure only when nothing else does.
func TestNCCLAndCuBLASErrors(t *testing.T) {
	t.Parallel()
	c := classes(t)
	nccl := map[int]struct {
		class blame.Class
		weak  bool
	}{2: {blame.Infra, true}, 3: {blame.Infra, true}, 4: {blame.Test, false}, 5: {blame.Test, false}}
	for code, e := range cudaErrors(t, "nccl") {
		line := "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:77, " + e[1] + ", NCCL version 2.27.3"
		r, ok := c.Match(line)
		w, known := nccl[code]
		require.Equal(t, known, ok, line)
		require.Equal(t, w.class, r.Class, line)
		require.Equal(t, w.weak, r.Weak, line)
		require.Equal(t, code == 6, blame.PeerLine(line), line)
	}
	for code, e := range cudaErrors(t, "cublas") {
		if code == 0 {
			continue
		}
		for _, line := range []string{"RuntimeError: CUDA error: " + e[0] + " when calling `cublasGemmEx(handle)`", "cuBLAS Error: " + e[1], e[0]} {
			r, ok := c.Match(line)
			require.True(t, ok, line)
			require.Equal(t, blame.Test, r.Class, line)
			if code == 3 && strings.Contains(line, e[0]) {
				require.Equal(t, "cuda-out-of-memory", r.Name)
			}
		}
	}
}
