package blame_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

func rules(t testing.TB) []blame.Rule {
	t.Helper()
	var out []blame.Rule
	require.NoError(t, yaml.Unmarshal([]byte(blame.ClassesYAML), &out))
	return out
}

func classes(t testing.TB) blame.Classes {
	t.Helper()
	c, err := blame.Compile(rules(t))
	require.NoError(t, err)
	return c
}

// Every built-in rule is reached by a line as it was seen, and by no rule before
// it; and lines of healthy runs reach none.
func TestBuiltInClasses(t *testing.T) {
	t.Parallel()
	lines := map[string]string{
		"[ 1234.5] NVRM: Xid (PCI:0000:81:00): 79, pid=0, GPU has fallen off the bus.":                 "gpu-fell-off-the-bus",
		"NVRM: Xid (PCI:0000:81:00): 94, pid=1, Contained: SM (0x1)":                                   "gpu-xid",
		"RuntimeError: CUDA error: uncorrectable ECC error encountered":                                "gpu-ecc",
		"RuntimeError: CUDA error: uncorrectable NVLink error detected during the execution":           "gpu-ecc",
		"CUDA_ERROR_SYSTEM_NOT_READY: system not yet initialized":                                      "nvlink",
		"RuntimeError: No CUDA GPUs are available: CUDA_ERROR_NO_DEVICE":                               "cuda-device-fault",
		"Failed to initialize NVML: Driver/library version mismatch":                                   "cuda-device-fault",
		"nvidia-imex: domain init failed":                                                              "imex",
		"srun: error: Node failure on gb-n07":                                                          "node-failure",
		"srun: error: Task launch for StepId=12.0 failed on node n1: Communication connection failure": "slurm-launch",
		"slurmd: error: Munge decode failed: Invalid credential":                                       "slurm-auth",
		"srun: error: If munged is up, restart with --num-threads=10: Munge encode failed: Failed to access \"/run/munge/munge.socket.2\": No such file or directory": "slurm-auth",
		"nvidia-fabricmanager: fabric manager initialization failed":                                                              "nvlink",
		"[E] NIXL: VRAM memory is detected as host, check that UCX is configured with CUDA support":                               "ucx-without-cuda",
		"RuntimeError: the server of GEN_0 ended with -11:":                                                                       "child-crashed",
		"subprocess.CalledProcessError: Command '['x']' died with <Signals.SIGABRT: 6>.":                                          "child-crashed",
		"RuntimeError: CUDA error: invalid argument":                                                                              "cuda-error",
		"RuntimeError: CUDA error: driver shutting down":                                                                          "cuda-shutdown",
		"NCCL error: invalid usage (run with NCCL_DEBUG=WARN for details)":                                                        "nccl-misuse",
		"sbatch: error: Slurm backup controller in standby mode":                                                                  "slurm-standby",
		"slurmstepd: error:  mpi/pmix_v4: _tcp_connect: n1: Cannot establish the connection":                                      "slurm-pmix",
		"PMI2_Init failed to initialize.  Return code: 14":                                                                        "slurm-pmix",
		"bash: fork: retry: Resource temporarily unavailable":                                                                     "host-out-of-memory",
		"pyxis: could not acquire rootfs lock for trtllm":                                                                         "pyxis-rootfs-lock",
		"slurmstepd: error: pyxis: couldn't start container":                                                                      "pyxis-rootfs-lock",
		"enroot-aufs2ovlfs: failed to create character device":                                                                    "enroot",
		"curl: (6) Could not resolve host: registry.example.com":                                                                  "registry",
		"OSError: [Errno 28] No space left on device":                                                                             "disk-full",
		"OSError: [Errno 116] Stale file handle: '/scratch/x'":                                                                    "stale-file-handle",
		"curl: (28) Failed to connect to huggingface.co port 443 after 131000 ms: Connection timed out":                           "registry",
		"curl: (28) Resolving timed out after 10001 milliseconds":                                                                 "registry",
		"filesystem error: status: Transport endpoint is not connected [/mnt/x]":                                                  "io-error",
		"error: \"/mnt/x y\": Transport endpoint is not connected":                                                                "io-error",
		"find: ‘/mnt/x’: Transport endpoint is not connected":                                                                     "io-error",
		"ls: cannot access '/mnt/models': Transport endpoint is not connected":                                                    "io-error",
		"OSError: [Errno 107] Transport endpoint is not connected: '/mnt/models/x'":                                               "io-error",
		"cp: /mnt/models/x: Transport endpoint is not connected":                                                                  "io-error",
		"OSError: [Errno 5] Input/output error":                                                                                   "io-error",
		"n1:1:1 [0] NCCL WARN NET/IB : Got completion from peer 10.0.0.1 with status=12 opcode=0":                                 "ib-link",
		"OSError: [Errno 113] No route to host":                                                                                   "network-unreachable",
		"OSError: [Errno 98] error while attempting to bind on address: Address already in use":                                   "port-in-use",
		"/runs/7/cases/c/rep-0/attempt-1/roles/GEN_0/role.sh: line 36: 23946 Killed                  trtllm-llmapi-launch pytest": "task-killed",
		"RuntimeError: the server of GEN_0 ended with -9:":                                                                        "child-killed",
		"subprocess.CalledProcessError: Command '['x']' died with <Signals.SIGKILL: 9>.":                                          "child-killed",
		"E   torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 GiB":                                                "cuda-out-of-memory",
		"slurmstepd: error: Detected 1 oom_kill event in StepId=12.0.":                                                            "cgroup-oom",
		"RuntimeError: CUDA error: an illegal memory access was encountered":                                                      "cuda-illegal-access",
		"ModuleNotFoundError: No module named 'tensorrt_llm'":                                                                     "not-importable",
		"roles/GEN_0/role.sh: line 31: trtllm-llmapi-launch: command not found":                                                   "no-launcher",
		"/usr/bin/python3: No module named pytest":                                                                                "no-launcher",
		"/x/role.sh: line 9: trtllm-serve: command not found":                                                                     "bad-command",
		"E   RuntimeError: the server answered nothing for 60 s, killed it: exit code -9":                                         "killed-by-test",
		"[n1:1] *** Process received signal: Segmentation fault (11)":                                                             "native-crash",
		"Traceback (most recent call last):":                                                                                      "python-exception",
		"[rank3]: Traceback (most recent call last):":                                                                             "python-exception",
		"E   AssertionError: Failed requests: 3":                                                                                  "python-exception",
		"UCX  WARN  no usable transports, falling back":                                                                           "ucx-fallback",
		"srun: Job 19 step creation temporarily disabled, retrying (Requested nodes are busy)":                                    "step-waits",
		"n1: NCCL WARN Connect to 10.0.0.1 failed : timeout":                                                                      "nccl-remote",
	}
	c := classes(t)
	reached := map[string]bool{}
	for line, want := range lines {
		r, ok := c.Match(line)
		require.True(t, ok, line)
		require.Equal(t, want, r.Name, line)
		require.NotEmpty(t, r.Why, r.Name)
		reached[r.Name] = true
	}
	for _, r := range rules(t) {
		require.True(t, reached[r.Name], "no line for rule %s", r.Name)
	}
	healthy := []string{
		"curl: (28) Operation timed out after 10001 milliseconds with 0 bytes received", "curl: (52) Empty reply from server",
		"curl: (7) Failed to connect to gpu0 port 8000 after 0 ms: Couldn't connect to server", "curl: (56) Recv failure: Connection reset by peer",
		"OSError: [Errno 107] Transport endpoint is not connected",
		"E1201 10:00:00 7 /opt/x/tcp.cc:88] getpeername failed: Transport endpoint is not connected",
		"ERROR /workspace/router.py:88 proxy to gen0: Transport endpoint is not connected",
		"ERROR POST /v1/completions failed: Transport endpoint is not connected",
		"", "iter = 12, global_rank = 0, prev_device_step_time = 9.8 ms, num_scheduled_requests = 8",
		"INFO:     127.0.0.1:33794 - \"GET /health HTTP/1.1\" 200 OK", "Successful requests: 160", "Failed requests: 0",
		"NVRM: Xid (PCI:0000:81:00): 31, pid=1, MMU Fault", // what an illegal access of the program causes
		"UCX  INFO  using rc_mlx5", "status: 200", "[TRT-LLM] [W] port 8001 chosen", "GPU 0: 0 uncorrected errors", "exit code 0",
		"KeyError: \"/lustre/fsw/ci/results.json has no field error_rate\"", "ValueError: cannot parse /lustre/fsw/ci/out.json: unexpected error field",
		"config: imex_policy=auto fail_fast=true", "IMEX policy: fail_fast=true", "RuntimeError: worker 3 failed: status: -9 tokens left", "worker 3 failed: status: -11 tokens left",
		`Failed: output differs: expected "Network is unreachable" message, got nothing`,
		"srun: error: gpu1: task 2: Exited with exit code 3", "test exited with 9", "temperature = -9",
		`    raise RuntimeError("CUDA out of memory")`, `[rank0]:     raise ValueError("No space left on device")`,
		`>   raise RuntimeError("Segmentation fault")`, `server = <Popen: returncode: -9 args: ['x']>`,
	}
	for _, line := range healthy {
		r, ok := c.Match(line)
		require.False(t, ok, "%q matches %s", line, r.Name)
	}
}

// What a failed assertion compared is a value of the test; what was raised, and what
// the test says in the assertion's message, is a cause.
func TestAssertionsQuote(t *testing.T) {
	t.Parallel()
	const none = ""
	tests := map[string]string{
		`E       AssertionError: assert 'error: No space left on device' == 'error: disk full'`:        "python-exception",
		`E       assert "it's No space left on device" == 'x"y'`:                                       none,
		`E   assert 'uncorrectable ECC error encountered' in ''`:                                       none,
		`FAILED t.py::test_cli[a-b] - AssertionError: assert 'No space left on device' == 'disk full'`: none,
		`AssertionError: assert 'No space left on device' == 'disk full'`:                              none,
		`E       OSError: [Errno 28] No space left on device`:                                          "disk-full",
		`E       RuntimeError: CUDA error: uncorrectable ECC error encountered`:                        "gpu-ecc",
		`E       AssertionError: start failed: OSError: [Errno 28] No space left on device`:            "disk-full",
		`FAILED t.py::test_cli - OSError: [Errno 28] No space left on device`:                          "disk-full",
		`E       AssertionError: assert 'CUDA out of memory' == ''`:                                    "cuda-out-of-memory", // the change's in any case
		`[TRT-LLM] [E] assert_disk: No space left on device`:                                           "disk-full",
		`error: No space left on device`:                                                               "disk-full",
	}
	c := classes(t)
	for line, want := range tests {
		r, _ := c.Match(line)
		require.Equal(t, want, r.Name, line)
	}
}

// The text of a failing test is read in the same way.
func TestFailedAssertionIsNoInfra(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]blame.Class{
		"AssertionError: assert 'No space left on device' == 'disk full'": blame.Test,
		`assert "it's No space left on device" == 'x"y'`:                  blame.Test,
		"OSError: [Errno 28] No space left on device":                     blame.Infra,
		"AssertionError: server: No space left on device":                 blame.Infra,
	} {
		b := newBench(t).event(blame.Event{Role: "GEN_0", Kind: blame.TestFailed, At: at(100), Text: text})
		require.Equal(t, want, blame.Judge(b.ev).Class, text)
	}
}

func TestCompileReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := blame.Compile([]blame.Rule{
		{Name: "a", Class: "infra", Pattern: "("},
		{Name: "a", Class: "unknown", Pattern: "x"},
		{Class: "test", Pattern: ".*"},
	})
	for _, want := range []string{"class a: pattern: error parsing", "class a: name is taken", `class is "unknown"`, "rule 3: name is missing", "matches every line"} {
		require.ErrorContains(t, err, want)
	}
	var none blame.Classes
	_, ok := none.Match("Traceback (most recent call last):")
	require.False(t, ok)
}
