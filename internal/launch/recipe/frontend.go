package recipe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// front is the role that clients talk to; none where the one worker serves them itself.
func (r *reading) front(frontend section, sides []side) []role {
	for _, key := range []string{"enable_multiple_frontends", "num_additional_frontends", "nginx_container", "nginx_raise_ulimit"} {
		if v := frontend.text(key); v != "" && v != "false" {
			r.note("frontend.%s: there is one frontend, without nginx before it", key)
		}
	}
	if many := frontend.text("enable_multiple_frontends"); many == "" && r.frontend != "vllm" && r.frontend != "trtllm_serve" {
		r.note("frontend.enable_multiple_frontends: there is one frontend, where srt-slurm starts 10 behind nginx")
	}
	out := role{Name: "frontend", Kind: "router", Env: frontend.in("env").pairs(), Ready: &ready{HTTP: "/health"}}
	args := ""
	for _, f := range frontend.in("args").list() {
		switch {
		case f.off:
		case len(f.words) == 0:
			args += " --" + f.key
		default: // one word, also of a list: frontends are not given several
			args += " --" + f.key + " " + shell(f.value)
		}
	}
	switch {
	case r.frontend == "dynamo":
		if out.Env == nil {
			out.Env = map[string]string{}
		}
		out.Env["ETCD_ENDPOINTS"], out.Env["NATS_SERVER"], out.Env["DYN_REQUEST_PLANE"] = "{etcd.url}", "nats://{nats.address}", r.plane
		out.Command = "exec python3 -m dynamo.frontend --http-port {port}" + args
	case r.frontend == "sglang" || r.frontend == "sglang-router":
		out.Command = sglangRouter(sides) + args
	case r.frontend == "trtllm_serve" && len(sides) == 2:
		out.Command = disaggregated(sides[0].urls(), sides[1].urls())
	case r.frontend == "vllm" && len(sides) == 1 && sides[0].groups[0].workers == 1:
		return nil // the worker is the frontend
	default:
		r.bad("frontend.type: %q does not go with these workers, or is none of dynamo, sglang, trtllm_serve, vllm", r.frontend)
	}
	return []role{out}
}

// urls are those of all workers of a side.
func (s side) urls() string {
	var all []string
	for _, g := range s.groups {
		all = append(all, "{"+g.role+".urls}")
	}
	return strings.Join(all, ",")
}

// sglangRouter starts SGLang's router before the workers.
func sglangRouter(sides []side) string {
	text := "arguments=()\n"
	for _, s := range sides {
		flag := "--" + s.name
		if s.name == "agg" {
			flag = "--worker-urls"
		}
		if s.name == "prefill" {
			port := cmp.Or(s.bootstrap, fmt.Sprintf("$((%d + i))", bootstrapPort))
			for _, g := range s.groups { // behind a prefill server's address stands its bootstrap port
				text += fmt.Sprintf("IFS=, read -ra servers <<<{%s.urls}\nfor i in \"${!servers[@]}\"; do arguments+=(--prefill \"${servers[i]}\" %s); done\n", g.role, port)
			}
			continue
		}
		text += fmt.Sprintf("IFS=, read -ra servers <<<%s\nfor url in \"${servers[@]}\"; do arguments+=(%s \"$url\"); done\n", s.urls(), flag)
	}
	text += "exec python3 -m sglang_router.launch_router"
	if len(sides) == 2 {
		text += " --pd-disaggregation"
	}
	return text + " \"${arguments[@]}\" --host 0.0.0.0 --port {port}"
}

// disaggregated writes the file by which trtllm-serve finds its servers.
func disaggregated(context, generation string) string {
	list := func(key, urls string) string {
		return fmt.Sprintf("  IFS=, read -ra servers <<<%s\n  printf '%s:\\n  num_instances: %%s\\n  urls:\\n' \"${#servers[@]}\"\n"+
			"  printf '  - %%s\\n' \"${servers[@]#http://}\"\n", urls, key)
	}
	return "{\n  printf 'hostname: 0.0.0.0\\nport: %s\\nbackend: pytorch\\n' {port}\n" + list("context_servers", context) + list("generation_servers", generation) +
		"} >{out}/servers.yaml\nexec trtllm-serve disaggregated -c {out}/servers.yaml"
}

// benchmark adds the client and its cases.
func (r *reading) benchmark(out file) file {
	b := r.top.in("benchmark")
	p := out.Pipelines["recipe"]
	front := "frontend"
	if len(p.Roles) > 0 && p.Roles[len(p.Roles)-1].Name != front {
		front = p.Roles[len(p.Roles)-1].Name + ".0"
	}
	client := role{Name: "client", Kind: "client", Env: b.in("env").pairs()}
	switch kind := b.text("type"); kind {
	case "sa-bench", "sglang-bench":
		isl, osl := b.number("isl"), b.number("osl")
		rate := b.text("req_rate")
		if rate == "" {
			rate = "inf"
		}
		loads := b.split("concurrencies")
		slices.SortFunc(loads, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
		vars := map[string][]string{"concurrency": slices.Compact(loads)}
		if r.perLoad = b.number("num_prompts_mult"); r.perLoad == 0 {
			r.perLoad = 10 // sa-bench's default
		}
		if len(vars["concurrency"]) == 0 || isl == 0 || osl == 0 {
			r.bad("benchmark: isl, osl and concurrencies are needed")
			return out
		}
		if kind == "sa-bench" {
			r.lengths(b)
		}
		client.Command = "concurrency={case.concurrency}\n" + r.bench(kind, fmt.Sprintf("{%s.url}", front), rate, isl, osl)
		client.Bench = []bench{{Reader: r.reader(kind), Files: "result.json"}}
		client.Expect = map[string]string{"concurrency": "{case.concurrency}", "input_len": fmt.Sprint(isl), "output_len": fmt.Sprint(osl)}
		out.Cases = []entry{{Vars: vars}}
	case "custom":
		client.Command = fmt.Sprintf("export SRT_FRONTEND_HOST={%s.host} SRT_FRONTEND_PORT={%s.port}\n%s", front, front, b.text("command"))
		client.Bench = []bench{{Files: "**"}}
	default:
		r.bad("benchmark.type: %q is none of sa-bench, sglang-bench, custom: there is nothing that would measure", kind)
	}
	p.Roles = append(p.Roles, client)
	out.Pipelines["recipe"] = p
	return out
}

// lengths says how requests of sa-bench are not those of the client here.
func (r *reading) lengths(b section) {
	ratio, warm := b.text("random_range_ratio"), b.number("num_warmup_mult")
	if ratio != "1" && ratio != "1.0" {
		r.note("benchmark.random_range_ratio: sa-bench draws lengths from %s of isl and osl up; here all requests are of isl and osl", cmp.Or(ratio, "0.8"))
	}
	if b.find("num_warmup_mult") == nil {
		warm = 2 // sa-bench's default
	}
	r.warm = warm
}

// reader is the reader of what the client writes.
func (r *reading) reader(kind string) string {
	if kind == "sglang-bench" || r.backend == "sglang" {
		return "sglang"
	}
	return "vllm"
}

// bench is the command of the client.
func (r *reading) bench(kind, url, rate string, isl, osl int) string {
	model := shell(r.model)
	if r.served != "" {
		model = shell(r.served) + " --tokenizer " + shell(r.model)
	}
	load := fmt.Sprintf("--dataset-name random --random-input-len %d --random-output-len %d --num-prompts $((concurrency * %d)) "+
		"--max-concurrency \"$concurrency\" --request-rate %s", isl, osl, r.perLoad, shell(rate))
	warmups := map[bool]string{true: "--warmup-requests", false: "--num-warmups"}[r.reader(kind) == "sglang"]
	if r.warm > 0 {
		load += fmt.Sprintf(" %s $((concurrency * %d))", warmups, r.warm)
	}
	if r.reader(kind) == "sglang" {
		return "exec python3 -m sglang.bench_serving --backend sglang-oai --base-url " + url + " --model " + model + " \\\n  " + load +
			" --random-range-ratio 1 --output-file {out}/result.json"
	}
	return "exec vllm bench serve --backend vllm --base-url " + url + " --model " + model + " --ignore-eos \\\n  " + load +
		" --save-result --result-dir {out} --result-filename result.json"
}
