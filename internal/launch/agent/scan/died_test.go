package scan

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/blame"
)

// What a server's process ended of decides, not what it had survived before that, nor what followed from it.
func TestWhatAServerEndedOf(t *testing.T) {
	t.Parallel()
	const (
		hf      = "huggingface_hub: HEAD https://huggingface.co/x: Temporary failure in name resolution; using the local cache\n"
		socket  = "[W socket.cpp:426] The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use). retry with the next port\n"
		begin   = "Traceback (most recent call last):\n  File x\n"
		illegal = "RuntimeError: CUDA error: an illegal memory access was encountered\n"
		core    = "writing core dump to /tmp/core.17: No space left on device\n"
		full    = "OSError: [Errno 28] No space left on device: '/tmp/cache'\n"
		because = "\nThe above exception was the direct cause of the following exception:\n\n"
		xid     = "NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus\n"
		wrapper = begin + "RuntimeError: Executor worker died\n"
		oom     = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 262144.00 GiB.\n"
		loop    = "Exception ignored in: <coroutine object connection at 0x7f07eed195a0>\n" + begin + "RuntimeError: Event loop is closed\nTask was destroyed but it is pending!\n"
		logging = "--- Logging error ---\n" + begin + "ValueError: I/O operation on closed file.\nCall stack:\n  File x\n"
		stdout  = "Exception ignored in: <_io.TextIOWrapper name='<stdout>'>\nOSError: [Errno 28] No space left on device\n"
		iters   = "iter = 1\niter = 2\niter = 3\niter = 4\niter = 5\niter = 6\n"
	)
	for name, tc := range map[string]struct {
		log    string
		signal int
		class  blame.Class
		rule   string
	}{
		"a name that was not resolved":                                  {hf + begin + illegal, 0, blame.Test, "cuda-illegal-access"},
		"of a rank":                                                     {hf + "[rank1]: Traceback (most recent call last):\n[rank1]: KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"without a traceback":                                           {hf + illegal, 0, blame.Test, "cuda-illegal-access"},
		"a port that was tried":                                         {socket + begin + illegal, 0, blame.Test, "cuda-illegal-access"},
		"a core dump that had no room":                                  {begin + "KeyError: 17\n" + core, 0, blame.Test, "python-exception"},
		"an exception that was caught":                                  {begin + full + hf + begin + "KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"what a value of a model is":                                    {hf + begin + "ValueError: head_dim 96 is not supported\n", 0, blame.Test, "python-exception"},
		"a crash":                                                       {hf + "[n1:1] *** Process received signal: Segmentation fault (11)\n", 0, blame.Test, "native-crash"},
		"a crash without a word":                                        {hf + "INFO: up\n", 11, blame.Test, "crash-signal"},
		"downloads that were given up":                                  {"curl: (7) Failed to connect to telemetry port 4317, ignored\n" + begin + "KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"a module that was not needed":                                  {"ModuleNotFoundError: No module named 'flash_attn'; falling back to sdpa\nRuntimeError: ncclSystemError: System call failed\n", 0, blame.Infra, "nccl-remote"},
		"a module that was needed":                                      {begin + "ModuleNotFoundError: No module named 'tensorrt_llm'\n", 0, blame.Test, "not-importable"},
		"memory, then the end of each connection":                       {begin + oom + iters + strings.Repeat(loop, 300), 0, blame.Test, "cuda-out-of-memory"},
		"memory, then a log that is closed":                             {begin + oom + iters + logging, 0, blame.Test, "cuda-out-of-memory"},
		"memory, then a chain that ends nothing":                        {begin + oom + iters + loop[:strings.Index(loop, "Task")] + "\nDuring handling of the above exception, another exception occurred:\n\n" + begin + "KeyError: 3\n", 0, blame.Test, "cuda-out-of-memory"},
		"the end of a connection, then memory":                          {loop + begin + oom, 0, blame.Test, "cuda-out-of-memory"},
		"an exception, then a callback's":                               {begin + "KeyError: 'x'\n" + iters + "Error in atexit._run_exitfuncs:\n" + begin + full, 0, blame.Test, "python-exception"},
		"a rank's connections, and another rank":                        {"[rank1]: " + loop[:strings.Index(loop, begin)] + "[rank0]: " + begin + "[rank0]: KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"connections, while another rank dies":                          {loop[:strings.Index(loop, "Runtime")] + begin + oom + "RuntimeError: Event loop is closed\n", 0, blame.Test, "cuda-out-of-memory"},
		"a thread that Python ends":                                     {hf + "Exception ignored in thread started by: <function engine at 0x1>\n" + begin + oom + iters, 0, blame.Test, "cuda-out-of-memory"},
		"a kernel, told by a destructor":                                {hf + "Exception ignored in: 'cupy.cuda.memory.free'\n" + begin + illegal, 0, blame.Test, "cuda-illegal-access"},
		"a connection, then C++ dies":                                   {hf + loop[:strings.Index(loop, "Runtime")] + "pynvml.NVMLError_Uninitialized: Uninitialized\nterminate called after throwing an instance of 'x'\n  what():  " + illegal[14:] + strings.Repeat(iters, 9), 0, blame.Test, "cuda-illegal-access"},
		"a rank's connection between two lines":                         {"[rank0]: " + begin[:len(begin)-9] + "[rank1]: Exception ignored in: <x>\n[rank1]: " + begin[:len(begin)-9] + "[rank0]: " + oom + "[rank1]: RuntimeError: Event loop is closed\n", 0, blame.Test, "cuda-out-of-memory"},
		"an exception, then the last flush":                             {begin + "KeyError: 'x'\n" + stdout, 0, blame.Test, "python-exception"},
		"memory, then the last flush":                                   {begin + oom + stdout, 0, blame.Test, "cuda-out-of-memory"},
		"C++, then a callback's":                                        {"terminate called after throwing an instance of 'x'\n  what():  " + illegal[14:] + "Exception ignored in atexit callback\n" + begin + full, 6, blame.Test, "cuda-illegal-access"},
		"memory, then two lines a connection":                           {begin + oom + strings.Repeat(loop+"task: <Task pending name='Task-16'>\n", 700), 0, blame.Test, "cuda-out-of-memory"},
		"likewise, as Windows ends lines":                               {strings.ReplaceAll(begin+oom+iters+loop, "\n", "\r\n"), 0, blame.Test, "cuda-out-of-memory"},
		"likewise, behind a progress bar":                               {begin + oom + iters + " 12%|##   | 12/100 [00:01<00:02]" + loop, 0, blame.Test, "cuda-out-of-memory"},
		"an exception in colours":                                       {hf + begin + "\x1b[1;35mKeyError\x1b[0m: 'x'\n", 0, blame.Test, "python-exception"},
		"an exception of a module's own name":                           {hf + begin + "triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 1\n", 0, blame.Test, "python-exception"},
		"memory, in C++":                                                {hf + "terminate called after throwing an instance of 'x'\n  what():  [TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(p): out of memory\n", 6, blame.Test, "cuda-out-of-memory"},
		"memory, then how uvicorn ends":                                 {begin + oom + iters + begin + "asyncio.exceptions.CancelledError\n\nDuring handling of the above exception, another exception occurred:\n\n" + begin + "KeyboardInterrupt\n", 0, blame.Test, "cuda-out-of-memory"},
		"memory, then a pipe that is broken":                            {begin + oom + iters + begin + "BrokenPipeError: [Errno 32] Broken pipe\n", 0, blame.Test, "cuda-out-of-memory"},
		"right behind a connection's end":                               {hf + loop[:strings.Index(loop, "Task")] + begin + "KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"right behind a task that is pending":                           {hf + loop + begin + "KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"a full disk, long survived, then a pipe":                       {begin + full + iters + begin + "BrokenPipeError: [Errno 32] Broken pipe\n", 0, blame.Test, "python-exception"},
		"a full disk, then how uvicorn ends":                            {begin + full + iters + begin + "KeyboardInterrupt\n", 0, blame.Infra, "disk-full"},
		"likewise, with what it cancelled":                              {begin + full + iters + begin + "asyncio.exceptions.CancelledError\n\nDuring handling of the above exception, another exception occurred:\n\n" + begin + "KeyboardInterrupt\n", 0, blame.Infra, "disk-full"},
		"memory, then an end with bars in between":                      {begin + oom + iters + "Exception ignored in: <x>\n" + begin[:len(begin)-9] + "\r 12%|##   | 12/100 [00:01<00:02]\r 13%|##   | 13/100 [00:01<00:02]\r  File x\n" + full, 0, blame.Test, "cuda-out-of-memory"},
		"memory, then an end with a bar before it":                      {begin + oom + iters + "Exception ignored in: <x>\n 12%|##   | 12/100 [00:01<00:02]\r" + begin + full, 0, blame.Test, "cuda-out-of-memory"},
		"memory, then an end behind a line of a logger":                 {begin + oom + iters + "Exception ignored in: <x>\nINFO: down\n" + begin + full, 0, blame.Test, "cuda-out-of-memory"},
		"memory, then an end with a line of a logger":                   {begin + oom + iters + "Exception ignored in: <x>\n" + begin + "INFO: down\n" + full, 0, blame.Test, "cuda-out-of-memory"},
		"long behind what announced another one":                        {hf + "Exception ignored in: <x>\n" + strings.Repeat("INFO: up\n", 6) + begin + "KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"a name, long survived, then an end":                            {hf + begin + "OSError: Temporary failure in name resolution\n" + strings.Repeat("iter\n", 101) + begin + "asyncio.exceptions.CancelledError: Cancelled by cancel scope 7f07\n", 0, blame.Test, "python-exception"},
		"a name, survived, then a program's own end":                    {hf + begin + "OSError: Temporary failure in name resolution\n" + iters + begin + "SystemExit: 1\n", 0, blame.Test, "python-exception"},
		"NCCL, behind what announced another one":                       {begin + "KeyError: 'x'\n" + iters + "Exception ignored in: <x>\nINFO: a\ngpu4:471:480 [0] NCCL WARN Cuda failure 802 'system not yet initialized'\n", 0, blame.Infra, "nvlink"},
		"likewise, directly":                                            {begin + "KeyError: 'x'\n" + iters + "Exception ignored in: <x>\ngpu4:471:480 [0] NCCL WARN Cuda failure 802 'system not yet initialized'\n", 0, blame.Infra, "nvlink"},
		"the disk, behind one that was cut off":                         {begin + "KeyError: 'x'\n" + iters + "Exception ignored in: <x>\n" + begin + "INFO: a\n\nOSError: [Errno 28] No space left on device\n", 0, blame.Infra, "disk-full"},
		"a full disk, then what each request says":                      {begin + full + iters + strings.Repeat("ERROR:    Exception in ASGI application\nTraceback (most recent call last):\n"+strings.Repeat("  File x\n", 70)+"asyncio.exceptions.CancelledError: Cancelled by cancel scope 7f07\n", 5), 0, blame.Infra, "disk-full"},
		"a full disk, then what ends nothing":                           {begin + full + iters + strings.Repeat(loop, 60) + begin + "KeyboardInterrupt\n", 0, blame.Infra, "disk-full"},
		"the port, behind many lines of a logger":                       {begin + "KeyError: 'x'\n" + iters + "Exception ignored in: <x>\n" + begin + strings.Repeat("INFO:     10.0.0.1:4 - \"POST /v1/completions HTTP/1.1\" 200 OK\n", 5) + "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use\n", 0, blame.Infra, "port-in-use"},
		"one that ends behind many lines of a logger":                   {begin + "KeyError: 'x'\n" + iters + "Exception ignored in: <x>\n" + begin + strings.Repeat("INFO: up\n", 6) + full, 0, blame.Test, "python-exception"},
		"one with a blank line of another writer":                       {begin + "KeyError: 'x'\n" + iters + "Exception ignored in: <x>\n" + begin + "\n" + full, 0, blame.Test, "python-exception"},
		"a line of source behind a rank's mark":                         {hf + "[rank0]: " + begin[:len(begin)-9] + "[rank0]:     self.model.config\n[rank0]: KeyError: 'x'\n", 0, blame.Test, "python-exception"},
		"the last flush, as Windows ends lines":                         {strings.ReplaceAll(begin+"KeyError: 'x'\n"+stdout, "\n", "\r\n"), 0, blame.Test, "python-exception"},
		"nothing but the end of a connection":                           {"INFO: up\n" + loop, 0, blame.Test, "python-exception"},
		"the disk, at the last flush":                                   {stdout, 0, blame.Infra, "disk-full"},
		"the disk itself":                                               {begin + full, 0, blame.Infra, "disk-full"},
		"the disk, in a chain":                                          {begin + full + because + begin + "KeyError: 'x'\n", 0, blame.Infra, "disk-full"},
		"the disk, after what was caught":                               {begin + "KeyError: 'x'\n" + full, 0, blame.Infra, "disk-full"},
		"the disk, in C++":                                              {"terminate called after throwing an instance of 'x'\n  what():  cannot copy: No space left on device\n", 6, blame.Infra, "disk-full"},
		"the disk, and somebody who passes it on":                       {"[E] cannot write /tmp/x: No space left on device\n" + wrapper, 0, blame.Infra, "disk-full"},
		"a name, and somebody who missed it":                            {"Temporary failure in name resolution\n" + begin + "RuntimeError: could not load the model\n", 0, blame.Infra, "network-unreachable"},
		"a name, survived, and somebody who passes on what is not told": {hf + iters + wrapper, 0, blame.Test, "python-exception"},
		"likewise, beside one that is of no rank's chain":               {begin + full + iters + wrapper, 0, blame.Test, "python-exception"},
		"likewise, of a peer":                                           {hf + iters + begin + "ConnectionRefusedError: [Errno 111] Connection refused\n", 0, blame.Test, "python-exception"},
		"likewise, and a crash":                                         {"Temporary failure in name resolution\n" + wrapper + "INFO: up\n", 11, blame.Test, "python-exception"},
		"the disk, of which the ranks tell":                             {begin + full + iters[:18] + strings.Repeat(wrapper, 3), 0, blame.Infra, "disk-full"},
		"the disk, told behind it":                                      {wrapper + iters + "OSError: [Errno 28] No space left on device\n", 0, blame.Infra, "disk-full"},
		"the fabric, in NCCL's own words":                               {"NCCL WARN NET/IB : Got completion from peer 10.0.0.1 with status=12\n" + iters + begin + "RuntimeError: NCCL error: unhandled system error\n", 0, blame.Infra, "ib-link"},
		"the GPU, told long before":                                     {xid + iters + wrapper, 0, blame.Infra, "gpu-fell-off-the-bus"},
		"the port itself":                                               {"ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use\n", 0, blame.Infra, "port-in-use"},
		"the port, in torch's words":                                    {socket + begin + "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. EADDRINUSE: address already in use\n", 0, blame.Infra, "port-in-use"},
		"the GPU, told by the kernel":                                   {xid + begin + illegal, 0, blame.Infra, "gpu-fell-off-the-bus"},
		"the GPU, told at last":                                         {begin + illegal + xid, 0, blame.Infra, "gpu-fell-off-the-bus"},
		"the GPU itself":                                                {begin + "RuntimeError: CUDA error: uncorrectable ECC error encountered\n", 6, blame.Infra, "gpu-ecc"},
		"the fabric":                                                    {"NCCL WARN NET/IB : Got completion from peer 10.0.0.1 with status=12\nterminate called after throwing an instance of 'c10::DistBackendError'\n", 6, blame.Infra, "ib-link"},
		"nothing else":                                                  {hf, 0, blame.Infra, "network-unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ev := blame.Evidence{Classes: builtin(t).classes, Roles: []blame.Role{{Name: "GEN_0", Kind: "server"}}}
			for _, l := range readLog(t, tc.log, 50).Explaining() {
				l.Server, l.File = true, "run-0/output/trtllm-serve.0.GEN_0.log"
				ev.Lines = append(ev.Lines, l)
			}
			quoting := strings.ReplaceAll(ownFailure, "ValueError: 3 of 40 answers were wrong", "RuntimeError: the server of GEN_0 ended with 1:\nE       "+strings.ReplaceAll(strings.TrimSpace(tc.log), "\n", "\nE       "))
			quoting, _, _ = strings.Cut(quoting, "----------------------------- Captured")
			for _, l := range readLog(t, quoting, 50).Explaining() {
				if tc.signal != 0 { // nor does its test say anything
					break
				}
				l.File = "run-0/roles/GEN_0/output.log" // whose test tells of the end of its server's log
				ev.Lines = append(ev.Lines, l)
			}
			ev.Events = []blame.Event{{Role: "GEN_0", Kind: blame.ServerGone, Exit: 1, Signal: tc.signal}}
			f := blame.Judge(ev)
			require.Equal(t, tc.class, f.Class, "%+v %+v", f, ev.Lines)
			require.Equal(t, tc.rule, f.Rule, "%+v", f)
			if tc.rule == "python-exception" {
				require.Contains(t, f.Line.Text, ": ")
				require.NotContains(t, f.Line.Text, "Event loop")
			}
		})
	}
}
