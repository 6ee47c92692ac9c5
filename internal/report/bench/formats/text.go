package formats

import (
	"fmt"
	"strings"

	"github.com/ci-disagg/ci-disagg/internal/report/bench"
)

// number is an expression of a number in a group.
func number(group string) string { return `(?P<` + group + `>[0-9.]+)` }

// textStats describes the statistics of a family in a text format: line is the
// expression of a line up to its number, with %s for the statistic.
func textStats(g *bench.Generic, family, line, unit string, names ...string) {
	for _, name := range names {
		ours, theirs, _ := strings.Cut(name, "=")
		group := family + "_" + strings.ReplaceAll(ours, ".", "_")
		g.Lines = append(g.Lines, fmt.Sprintf(line, theirs)+number(group))
		metric := one(family+"_"+ours+"_ms", group, unit)
		metric.Optional = family+"_"+ours != "e2el_mean" // every one of these reports ends with it
		g.Metrics = append(g.Metrics, metric)
	}
}

func trtllmBenchText() bench.Described {
	names := []string{"mean=AVERAGE", "median=P50", "min=MINIMUM", "max=MAXIMUM", "p90=P90", "p95=P95", "p99=P99"}
	g := bench.Generic{
		Name: "trtllm-bench (text)", Format: "text", Begins: `= REQUEST DETAILS`, Completed: "requests", Duration: "duration", DurationIn: "ms",
		Lines: []string{
			`Number of requests: +` + number("requests"), `Request Throughput \(req/sec\): +` + number("rps"),
			`Total Output Throughput \(tokens/sec\): +` + number("output"), `Total Token Throughput \(tokens/sec\): +` + number("total"),
			`Per User Output Throughput \[w/ ctx\] \(tps/user\): +` + number("user"),
			`Per GPU Output Throughput \(tps/gpu\): +` + number("gpu"), `Total Latency \(ms\): +` + number("duration"),
		},
		Metrics: []bench.GenericMetric{
			must("request_throughput", "rps"), one("output_token_throughput", "output", ""), one("total_token_throughput", "total", ""),
			one("user_throughput", "user", ""), one("output_token_throughput_per_gpu", "gpu", ""),
		},
	}
	textStats(&g, "ttft", `\[TTFT\] %s *: `, "ms", names...)
	textStats(&g, "tpot", `\[TPOT\] %s *: `, "ms", names...)
	textStats(&g, "e2el", `\[Latency\] %s *: `, "ms", names...)
	return bench.Described{ID: TRTLLMBenchText, Generic: g}
}

// mlperf reads loadgen's mlperf_log_summary.txt. It has no count of samples; what
// it has is whether the run met loadgen's own rules.
func mlperf() bench.Described {
	names := []string{"mean=Mean", "min=Min", "max=Max"}
	percentiles := []string{"median=50.00", "p90=90.00", "p95=95.00", "p97=97.00", "p99=99.00", "p99.9=99.90"}
	g := bench.Generic{
		Name: "MLPerf loadgen", Format: "text", Begins: `MLPerf Results Summary`, Point: "scenario", Rate: "target", Problem: "invalid",
		Lines: []string{
			`^Scenario : (?P<scenario>\w+)`, `Result is : (?P<invalid>INVALID)`, `^target_qps : ` + number("target"),
			`^(?:Samples per second|Completed samples per second|QPS w/ loadgen overhead) *: ` + number("rps"),
			`^(?:Tokens per second|Completed tokens per second|TPS w/ loadgen overhead) *: ` + number("output"),
		},
		Metrics: []bench.GenericMetric{one("request_throughput", "rps", ""), one("output_token_throughput", "output", "")},
	}
	textStats(&g, "e2el", `^%s latency \(ns\) *: `, "ns", names...)
	textStats(&g, "e2el", `^%s percentile latency \(ns\) *: `, "ns", percentiles...)
	textStats(&g, "ttft", `^%s First Token latency \(ns\) *: `, "ns", names...)
	textStats(&g, "ttft", `^%s percentile first token latency \(ns\) *: `, "ns", percentiles...)
	textStats(&g, "tpot", `^%s Time to Output Token \(ns\) *: `, "ns", names...)
	textStats(&g, "tpot", `^%s percentile time to output token \(ns\) *: `, "ns", percentiles...)
	return bench.Described{ID: MLPerf, Generic: g}
}

// redisText reads what redis-benchmark prints without --csv, one point per command.
func redisText() bench.Described {
	g := bench.Generic{
		Name: "redis-benchmark", Format: "text", Point: "test", Concurrency: "clients", Completed: "done", Duration: "duration",
		Title: `^====== (?P<test>[^=]+) ======\s*$`, Begins: `^ *(?P<done>[0-9]+) requests completed in (?P<duration>[0-9.]+) seconds`,
		Lines: []string{
			`^ *(?P<clients>[0-9]+) parallel clients`, `^ *throughput summary: ` + number("rps") + ` requests per second`,
			`^ +` + number("mean") + ` +` + number("min") + ` +` + number("median") + ` +` + number("p95") + ` +` + number("p99") + ` +` + number("max") + `\s*$`,
		},
		Metrics: []bench.GenericMetric{must("request_throughput", "rps"), must("e2el_median_ms", "median")},
	}
	for _, name := range []string{"mean", "min", "p95", "p99", "max"} {
		g.Metrics = append(g.Metrics, one("e2el_"+name+"_ms", name, "ms"))
	}
	return bench.Described{ID: RedisText, Generic: g}
}

// redisQuiet reads the lines of redis-benchmark -q.
func redisQuiet() bench.Described {
	g := bench.Generic{
		Name: "redis-benchmark -q", Format: "text", Point: "test",
		Begins:  `^(?P<test>[^ :][^:]*): ` + number("rps") + ` requests per second(?:, p50=` + number("median") + ` msec)?\s*$`,
		Metrics: []bench.GenericMetric{must("request_throughput", "rps"), one("e2el_median_ms", "median", "ms")},
	}
	return bench.Described{ID: RedisQuiet, Generic: g}
}

// apacheBench takes an answer other than 2xx for a failed request. Its
// percentiles are whole milliseconds: 0 is no measurement.
func apacheBench() bench.Described {
	g := bench.Generic{
		Name: "ab (ApacheBench)", Format: "text", Begins: `^This is ApacheBench, `,
		Concurrency: "clients", Completed: "done", Failed: "failed", Duration: "duration",
		Lines: []string{
			`^Concurrency Level: +(?P<clients>[0-9]+)`, `^Complete requests: +(?P<done>[0-9]+)`, `^Time taken for tests: +(?P<duration>[0-9.]+) seconds`,
			`^Failed requests: +(?P<failed>[0-9]+)`, `^Non-2xx responses: +(?P<failed>[0-9]+)`,
			`^Requests per second: +` + number("rps"), `^Time per request: +` + number("mean") + ` \[ms\] \(mean\)$`,
			`^ +50% +(?P<median>[1-9][0-9]*)$`, `^ +90% +(?P<p90>[1-9][0-9]*)$`, `^ +95% +(?P<p95>[1-9][0-9]*)$`,
			`^ +99% +(?P<p99>[1-9][0-9]*)$`, `^ *100% +(?P<max>[0-9]+) \(longest request\)`,
			`^(?P<broken>apr_\w+: .*|Test aborted after .*)`,
		},
		Problem: "broken", Metrics: []bench.GenericMetric{must("request_throughput", "rps"), must("e2el_mean_ms", "mean"), must("e2el_max_ms", "max")},
	}
	for _, name := range []string{"median", "p90", "p95", "p99"} {
		g.Metrics = append(g.Metrics, one("e2el_"+name+"_ms", name, "ms"))
	}
	return bench.Described{ID: ApacheBench, Generic: g}
}

// redisBenchmark reads the rows of redis-benchmark --csv, one point per command.
// There are no counts in it.
func redisBenchmark() bench.Described {
	names := []string{"mean", "min", "median", "p95", "p99", "max"}
	cells := []string{`"(?P<test>[^"]+)"`, `"` + number("rps") + `"`}
	g := bench.Generic{
		Name: "redis-benchmark --csv", Format: "text", Point: "test", Metrics: []bench.GenericMetric{must("request_throughput", "rps")},
	}
	for _, name := range names {
		cells = append(cells, `"`+number(name)+`"`)
		g.Metrics = append(g.Metrics, one("e2el_"+name+"_ms", name, "ms"))
	}
	g.Begins = strings.Join(cells, ",") + `\s*$`
	return bench.Described{ID: RedisBenchmark, Generic: g}
}

// pgbench takes a transaction for a request. Skipped transactions are missing
// among those processed.
func pgbench() bench.Described {
	g := bench.Generic{
		Name: "pgbench", Format: "text", Begins: `transaction type: `,
		Concurrency: "clients", Requested: "asked", Completed: "done", Failed: "failed",
		Lines: []string{
			`number of clients: ` + number("clients"), `number of transactions actually processed: (?P<done>[0-9]+)(?:/(?P<asked>[0-9]+))?`,
			`number of failed transactions: (?P<failed>[0-9]+)`, `latency average = ` + number("mean") + ` ms`, `latency stddev = ` + number("std") + ` ms`,
			`tps = ` + number("tps") + ` \((?:without initial connection|excluding connections)`,
		},
		Metrics: []bench.GenericMetric{must("request_throughput", "tps"), one("e2el_mean_ms", "mean", "ms"), one("e2el_std_ms", "std", "ms")},
	}
	return bench.Described{ID: PGBench, Generic: g}
}

// wrk has latencies with units of their own, and says of errors only that there
// were some.
func wrk() bench.Described {
	g := bench.Generic{
		Name: "wrk", Format: "text", Begins: `^Running .* test @ `, Concurrency: "connections", Duration: "duration", Completed: "done", Failed: "failed",
		Lines: []string{
			`threads and (?P<connections>[0-9]+) connections`, `Latency +(?P<mean>[0-9.]+\w+) +(?P<std>[0-9.]+\w+) +(?P<max>[0-9.]+\w+) `,
			`50% +(?P<median>[0-9.]+\w+)$`, `90% +(?P<p90>[0-9.]+\w+)$`, `99% +(?P<p99>[0-9.]+\w+)$`,
			`(?P<done>[0-9]+) requests in (?P<duration>[0-9.]+\w+), `, `Non-2xx or 3xx responses: (?P<failed>[0-9]+)`,
			`Socket errors: connect (?P<failed>[0-9]+)`, `Socket errors: .* read (?P<failed>[0-9]+)`,
			`Socket errors: .* write (?P<failed>[0-9]+)`, `Socket errors: .* timeout (?P<failed>[0-9]+)`, `Requests/sec: +` + number("rps"),
		},
		Metrics: []bench.GenericMetric{must("request_throughput", "rps")},
	}
	for _, name := range []string{"mean", "std", "max", "median", "p90", "p99"} {
		g.Metrics = append(g.Metrics, one("e2el_"+name+"_ms", name, "ms"))
	}
	return bench.Described{ID: WRK, Generic: g, NoneFailed: true}
}

// ncclTests reads the rows of the table that the NCCL tests print, one point per
// size: out of place, and the bus bandwidth in place.
func ncclTests() bench.Described {
	const count, float = ` +(?:[0-9]+)`, ` +(?:[0-9.]+)`
	g := bench.Generic{
		Name: "NCCL tests", Format: "text", Point: "size", Failed: "wrong",
		Begins: `^(?:[0-9]+:)? *(?P<size>[0-9]+)` + count + ` +(?:half|float|double|bfloat16|fp8_e4m3|f8e4m3|f8e5m2|u?int(?:8|32|64)) +\w+ +-?[0-9]+` +
			` +` + number("time") + ` +` + number("algbw") + ` +` + number("busbw") + ` +(?:(?P<wrong>[0-9]+)|N/A)` +
			float + float + ` +` + number("inplace") + ` +(?:[0-9]+|N/A)\s*$`,
		Metrics: []bench.GenericMetric{
			one("run_time_mean_ms", "time", "us"), one("algorithm_bandwidth", "algbw", ""), one("bus_bandwidth", "busbw", ""),
			one("bus_bandwidth_in_place", "inplace", ""),
		},
	}
	return bench.Described{ID: NCCLTests, Generic: g}
}

// ncclSummary reads the two lines below that table.
func ncclSummary() bench.Described {
	g := bench.Generic{
		Name: "NCCL tests (summary)", Format: "text", Begins: `# Out of bounds values : (?P<wrong>[0-9]+) (?:OK|(?P<failed>FAILED))`,
		Lines: []string{`# (?P<name>Avg bus bandwidth) *: ` + number("busbw")}, Point: "name", Failed: "wrong", Problem: "failed",
		Metrics: []bench.GenericMetric{must("bus_bandwidth", "busbw")},
	}
	return bench.Described{ID: NCCLSummary, Generic: g}
}
