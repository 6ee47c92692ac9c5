/*
 * Runs the library, with the real binary on the local backend under every sh step, to each of its endings. Usage:
 *   groovy -cp jenkins/test jenkins/test/library.groovy REPOSITORY BINARY SCRATCH [NAME...]
 */
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import harness.Glob
import harness.Pipeline
import java.util.concurrent.Callable
import java.util.concurrent.ExecutorService
import java.util.concurrent.Executors
import java.util.concurrent.Future

class LibraryTest {
    static final List<String> SEEN = ['sh', 'junit', 'archiveArtifacts', 'publishHTML', 'publishChecks', 'unstable', 'error']
    static final List<String> BEFORE = ['sh ci-disagg: find the binary', 'publishChecks IN_PROGRESS', 'sh ci-disagg run']
    static final List<String> AFTER = ['junit', 'archiveArtifacts', 'publishHTML']
    static final String SMALL = 'perf/test_perf_sanity.py::test_e2e[disagg_upload-e2e-tiny_1k1k_con4_ctx1_tp1_gen1_tp2]'

    /** Pins of the metrics that no scenario is about: never in doubt, however busy the machine is. */
    static final String REST = '''\
    con8/output_token_throughput: {value: 661, tolerance: 90%}
    ttft_median_ms: {value: 1420, tolerance: 50%}
    tpot_median_ms: {value: 100, tolerance: 50%}
'''

    // A role is running at least that long, however late the one comes who waits for it.
    static final Map<String, String> SLOW_LOAD = [CI_DISAGG_LOAD_S: '20']

    final File repository
    final File binary
    final File scratch
    final Map<String, Closure> scenarios = new LinkedHashMap<>()

    LibraryTest(File repository, File binary, File scratch) {
        this.repository = repository
        this.binary = binary
        this.scratch = scratch
        examples() // the longest first, so that none is left alone at the end
        endings()
        sights()
        agents()
        binaries()
        parts()
    }

    // Building blocks.

    /** A build whose workspace holds a config, pins and a list; perf is the config's perf section. */
    Pipeline start(String name, Map<String, String> more = [:], String perf = '{pins: pins.yaml, reruns: 0}', String expected = 'value: 331, tolerance: 90%') {
        File root = new File(scratch, name)
        root.mkdirs()
        Map<String, String> env = [PATH: "${binary.parentFile.path}:${System.getenv('PATH')}".toString(), HOME: root.path,
                                   BUILD_TAG: "jenkins-${name}-7".toString(), GIT_COMMIT: 'c0ffee', LANG: 'C.UTF-8'] + more
        Pipeline p = new Pipeline(new File(repository, 'jenkins'), root, env)
        fill(p.workspace, root, perf, expected)
        return p
    }

    void fill(File workspace, File root, String perf, String expected) {
        File ci = new File(workspace, 'ci')
        ci.mkdirs()
        String workload = "${repository.path}/testdata/workload"
        new File(ci, 'ci-disagg.yaml').text = """\
            stage: gate
            backend: local
            runs_dir: ${root.path}/runs
            workload:
              dir: ${workload}
              disagg_configs: ${workload}/configs/disaggregated
              agg_configs: ${workload}/configs/aggregated
              pytest: /usr/bin/python3 -m pytest
              setup: export PATH="\$PWD/bin:\$PATH" PYTHONDONTWRITEBYTECODE=1
              grace: 3s
            budgets: {queue: 15m, ready: 15m, benchmark: 15m, drain: 5m, job: 40m}
            clusters:
              gb200: {gpus_per_node: 4}
              b200: {gpus_per_node: 4}
            cluster: gb200
            perf: ${perf}
            """.stripIndent()
        new File(ci, 'pins.yaml').text = "schema: 1\ncases:\n  \"${SMALL}\":\n    con4/output_token_throughput: {${expected}}\n" + REST
        new File(ci, 'perf.txt').text = "${SMALL}\n"
    }

    static String jenkinsfile(String call) { return "node { ${call} }" }

    static Map runRecord(Pipeline p) {
        List<File> found = Glob.find(new File(p.root, 'runs'), '*/run.json')
        assert found.size() == 1
        return (Map) new JsonSlurper().parse(found[0])
    }

    static boolean running(Pipeline p) {
        return Glob.find(new File(p.root, 'runs'), '*/cases/*/rep-0/attempt-1/agent.json').any { File f ->
            f.text.contains('"state": "running"')
        }
    }

    /** How many jobs the run has had. */
    static int jobs(Pipeline p) { return Glob.find(new File(p.root, 'runs'), '*/cases/*/rep-*/attempt-*/job.json').size() }

    /** Processes of the build that still live. */
    static List<String> left(Pipeline p) {
        List<String> found = []
        new File('/proc').eachDirMatch(~/[0-9]+/) { File d ->
            try {
                if (new File(d, 'environ').text.contains("CI_DISAGG_ATTEMPT=${p.root.path}/")) {
                    found << "${d.name} ${new File(d, 'cmdline').text.replace('\0', ' ')}".toString()
                }
            } catch (IOException e) {
                // it is gone
            }
        }
        return found
    }

    static void expect(Pipeline p, String result, List<String> steps) {
        List<String> got = [p.currentBuild.currentResult] + p.trace(SEEN)
        if (got != [result] + steps) {
            throw new AssertionError((Object) "result and steps:\n  ${got}\nnot\n  ${[result] + steps}\nlog:\n${p.log.toString().readLines().takeRight(60).join('\n')}")
        }
    }

    static void eventually(String what, Closure<Boolean> ok) {
        long end = System.currentTimeMillis() + 1200_000
        while (!ok()) {
            if (System.currentTimeMillis() > end) {
                throw new AssertionError((Object) "waited 20 minutes for ${what}")
            }
            sleep(100)
        }
    }

    // Scenarios.

    void endings() {
        scenarios['pass'] = { String name ->
            Pipeline p = start(name)
            p.globals.got = [:]
            p.build(jenkinsfile("def r = ciDisagg(config: 'ci/ci-disagg.yaml', testList: ['ci/perf.txt'], comment: { String t -> got.text = t }); got.map = r"))
            expect(p, 'SUCCESS', BEFORE + AFTER + ['publishChecks SUCCESS'])
            assert p.tests.passed > 0 && p.tests.failed == 0
            assert p.globals.got.text.startsWith('<!-- ci-disagg')
            Map r = p.globals.got.map
            assert r.exitCode == 0 && r.result == 'SUCCESS' && !r.infra && r.headline && r.comment == p.globals.got.text
            assert r.runId == "jenkins-${name}-7-1795226400000" && new File(r.runDir).isDirectory() && !r.runDir.startsWith(p.workspace.path)
            List files = p.calls.find { it.step == 'archiveArtifacts' }.files
            assert files.containsAll(['ci-disagg-report/report/junit.xml', 'ci-disagg-report/report/index.html', 'ci-disagg-report/result.json'])
            assert files.any { it.endsWith('/roles/GEN_0/output.log') } // what the report links to
            assert runRecord(p).build.mode == 'nightly' && runRecord(p).build.commit == 'c0ffee'
            assert !p.log.toString().contains('is no release') // library and binary were compared
        }
        scenarios['test failure'] = { String name ->
            Pipeline p = start(name, [CI_DISAGG_FAULT: 'GEN_0:crash-before-ready'])
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'FAILURE', BEFORE + AFTER + ['publishChecks FAILURE', 'error'])
            assert p.cause.message.startsWith('ciDisagg: a test failed: ')
            assert p.tests.failed > 0
        }
        scenarios['regression in a nightly'] = { String name ->
            Pipeline p = start(name, [:], '{pins: pins.yaml, reruns: 0}', 'value: 9000, tolerance: 5%')
            p.build(jenkinsfile("ciDisaggNightly config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'; echo 'after'"))
            expect(p, 'UNSTABLE', BEFORE + AFTER + ['publishChecks FAILURE', 'unstable'])
            assert p.log.toString().contains('ciDisagg: performance regression: ')
            assert p.log.toString().trim().endsWith('after') // the pipeline goes on
        }
        scenarios['regression in a pull request'] = { String name ->
            Pipeline p = start(name, [CHANGE_ID: '12', CHANGE_TARGET: 'main'], '{pins: pins.yaml, reruns: 0}', 'value: 9000, tolerance: 5%')
            String base = repositoryWithChange(p.workspace)
            p.build(jenkinsfile("ciDisaggPrCheck config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', name: 'pr'"))
            expect(p, 'FAILURE', ['sh ci-disagg: find the binary', 'sh ci-disagg: ask the clone', 'publishChecks IN_PROGRESS', 'sh ci-disagg run'] + AFTER +
                    ['publishChecks FAILURE', 'error'])
            Map build = runRecord(p).build
            assert build.mode == 'pr' && build.commit == 'c0ffee' && build.merge_base == base && build.merge_base_time == '2026-11-01T12:00:00Z'
            assert runRecord(p).id == "jenkins-${name}-7-1795226400000-pr"
        }
        scenarios['a pull request that Jenkins does not know of'] = { String name -> // a bot's build, with parameters of its own
            Pipeline p = start(name)
            String base = repositoryWithChange(p.workspace)
            p.build(jenkinsfile("ciDisaggPrCheck config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', branch: 'main'"))
            expect(p, 'SUCCESS', ['sh ci-disagg: find the binary', 'sh ci-disagg: ask the clone', 'publishChecks IN_PROGRESS', 'sh ci-disagg run'] + AFTER + ['publishChecks SUCCESS'])
            Map build = runRecord(p).build
            assert build.mode == 'pr' && build.branch == 'main' && build.merge_base == base
        }
        scenarios['no verdict'] = { String name ->
            Pipeline p = start(name, [:], '{reruns: 0}')
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'UNSTABLE', BEFORE + AFTER + ['publishChecks FAILURE', 'unstable'])
            p = start(name, [:], '{reruns: 0}') // the same run again, relaxed by the pipeline
            p.build(jenkinsfile("ciDisagg.report runId: 'jenkins-${name}-7-1795226400000', config: 'ci/ci-disagg.yaml', results: [5: 'SUCCESS']"))
            expect(p, 'SUCCESS', ['sh ci-disagg: find the binary', 'publishChecks IN_PROGRESS', 'sh ci-disagg report'] + AFTER + ['publishChecks SUCCESS'])
            assert p.log.toString().contains('exit 5 counts as SUCCESS here, not as UNSTABLE') // never silently
            p = start(name) // a second call of the same build, for other tests, must not end with the first one's result
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', tests: '${SMALL.replace('con4', 'con8').replace('tp1_gen1_tp2', 'tp4_gen1_dep8')}'"))
            expect(p, 'FAILURE', BEFORE + ['archiveArtifacts', 'publishChecks FAILURE', 'error'])
            assert p.cause.message.contains('has other cases')
        }
        scenarios['infrastructure'] = { String name ->
            Pipeline p = start(name, [CI_DISAGG_FAULT: 'GEN_0:kill-while-serving', CI_DISAGG_TOKEN_MS: '1000']) // nobody waits for the tokens
            p.globals.got = [:]
            p.build(jenkinsfile("got.map = ciDisagg(config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', propagate: false); ciDisagg.report(runId: got.map.runId, config: 'ci/ci-disagg.yaml')"))
            assert p.globals.got.map.infra && p.globals.got.map.result == 'FAILURE'
            expect(p, 'FAILURE', BEFORE + AFTER + ['publishChecks FAILURE', 'sh ci-disagg: find the binary', 'publishChecks IN_PROGRESS', 'sh ci-disagg report'] + AFTER +
                    ['publishChecks FAILURE', 'error'])
            assert p.cause.message.startsWith('ciDisagg: infrastructure, not your change: ')
        }
        scenarios['a job that was made anew'] = { String name ->
            Pipeline p = start(name)
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'SUCCESS', BEFORE + AFTER + ['publishChecks SUCCESS'])
            p = start(name, [CI_DISAGG_FAULT: 'GEN_0:crash-before-ready']) // of the same number and tag, weeks later
            p.currentBuild.timeInMillis += 1
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'FAILURE', BEFORE + AFTER + ['publishChecks FAILURE', 'error']) // its own run, not that old pass
            assert jobs(p) == 2
        }
        scenarios['wrong parameters'] = { String name ->
            Pipeline p = start(name)
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testLists: 'ci/perf.txt'"))
            expect(p, 'FAILURE', BEFORE + ['archiveArtifacts', 'publishChecks FAILURE', 'error'])
            assert p.log.toString().contains('unknown flag "testLists"')
            p = start(name)
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/none.txt'"))
            expect(p, 'FAILURE', BEFORE + ['archiveArtifacts', 'publishChecks FAILURE', 'error'])
            assert p.cause.message.startsWith('ciDisagg: usage, config or plan is wrong: ') && p.cause.message.contains('ci/none.txt')
        }
        scenarios['abort'] = { String name ->
            Pipeline p = start(name, SLOW_LOAD)
            p.abortWhen = { running(p) }
            long began = 0
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'ABORTED', BEFORE + AFTER + ['publishChecks CANCELED'])
            assert new JsonSlurper().parse(new File(p.workspace, 'ci-disagg-report/result.json')).result == 'interrupted'
            assert p.currentBuild.description.startsWith('ci-disagg: interrupted: ') // there is a report, if no exit code
            File control = new File("${p.workspace.path}@tmp/ci-disagg@tmp").listFiles().find { f -> new File(f, 'script.sh').exists() && new File(f, 'script.sh').text.contains(' run ') }
            assert new File(control, 'result').text.trim() == '143'
            eventually('every process of the run to end') { left(p).isEmpty() }
        }
    }

    /** Makes the workspace a clone with a pull request on it, and gives the merge base. */
    static String repositoryWithChange(File workspace) {
        String script = '''set -e
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
            export GIT_AUTHOR_DATE="2026-11-01T12:00:00Z" GIT_COMMITTER_DATE="2026-11-01T12:00:00Z"
            git init -q -b change . && git commit -q --allow-empty -m base && git update-ref refs/remotes/origin/main HEAD
            git rev-parse HEAD && git commit -q --allow-empty -m change'''
        Process git = new ProcessBuilder('sh', '-c', script).directory(workspace).start()
        String base = git.inputStream.text.trim()
        assert git.waitFor() == 0
        return base
    }

    static File writeTo(File file, String text) {
        file.text = text
        return file
    }

    /** A repository whose change makes its server slower by a tenth, and the commit at which it left main. */
    static String repositoryOfPairs(File workspace, File root) {
        File ci = new File(workspace, 'ci')
        ci.mkdirs()
        new File(ci, 'build.sh').text = 'cp speed built\n'
        new File(ci, 'perf.txt').text = 'quick\n'
        new File(ci, 'ci-disagg.yaml').text = """\
            stage: gate
            backend: local
            runs_dir: ${root.path}/runs
            clusters: {gb200: {gpus: none}}
            pipelines:
              quick:
                roles:
                - name: work
                  kind: task
                  command: |
                    v=\$(cat \$CI_DISAGG_SOURCE/built).\$(date +%N)
                    printf '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"\\n' > {out}/bench.csv
                    printf '"SET","%s","1","1","1","1","1","1"\\n' \$v >> {out}/bench.csv
                  bench: [{reader: redis-benchmark, files: bench.csv}]
            builds: {head: {source: ..}}
            budgets: {ready: 15m, benchmark: 15m, job: 40m}
            """.stripIndent()
        String script = '''set -e
            export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
            chmod +x ci/build.sh; sed -i '1i #!/bin/sh' ci/build.sh; echo 1000 >speed
            git init -q -b change . && git add -A && git commit -qm base && git update-ref refs/remotes/origin/main HEAD && git rev-parse HEAD
            echo 900 >speed && git commit -qam change'''
        Process git = new ProcessBuilder('sh', '-c', script).directory(workspace).start()
        String base = git.inputStream.text.trim()
        assert git.waitFor() == 0
        return base
    }

    void sights() {
        scenarios['lost: the process is dead'] = { String name ->
            Pipeline p = start(name)
            p.sight['ci-disagg run'] = { step ->
                step.start()
                eventually('a running role') { running(p) }
                step.stop('KILL') // the agent's machine is short of memory, say
                return -1
            }
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'SUCCESS', BEFORE + ['sh ci-disagg run'] + AFTER + ['publishChecks SUCCESS'])
            assert p.log.toString().contains("Jenkins lost sight of the process (-1); resuming jenkins-${name}-7-1795226400000")
            assert jobs(p) == 1 // no second job
        }
        scenarios['lost: the process lives'] = { String name ->
            Pipeline p = start(name, SLOW_LOAD)
            p.sight['ci-disagg run'] = { step ->
                step.start()
                eventually('a running role') { running(p) }
                return -1
            }
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'SUCCESS', BEFORE + ['sh ci-disagg run'] + AFTER + ['publishChecks SUCCESS'])
            assert p.log.toString().contains('ci-disagg: waiting: ')
            assert jobs(p) == 1
        }
        scenarios['lost: never started'] = { String name ->
            Pipeline p = start(name)
            p.sight['ci-disagg run'] = { step -> -2 }
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'SUCCESS', BEFORE + ['sh ci-disagg run'] + AFTER + ['publishChecks SUCCESS'])
        }
        scenarios['lost: the step gives up'] = { String name ->
            Pipeline p = start(name, [BUILD_URL: 'https://ci.example.org/job/perf/7/'])
            p.sight['ci-disagg run'] = { step ->
                step.start()
                eventually('a running role') { running(p) }
                throw new hudson.AbortException('missing workspace /w on agent-1')
            }
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'SUCCESS', BEFORE + ['sh ci-disagg run'] + AFTER + ['publishChecks SUCCESS'])
            assert p.log.toString().contains('the sh step gave up: missing workspace /w on agent-1')
            assert jobs(p) == 1
            List<Map> checks = p.calls.findAll { it.step == 'publishChecks' }*.params
            assert checks*.detailsURL == ['https://ci.example.org/job/perf/7/console', 'https://ci.example.org/job/perf/7/artifact/ci-disagg-report/report/index.html']
            assert checks[1].summary.contains("](<${checks[1].detailsURL}>)") // the report is a click away
            assert p.currentBuild.description.startsWith('ci-disagg: passed: ')
        }
        scenarios['lost twice'] = { String name ->
            Pipeline p = start(name)
            p.sight['ci-disagg run'] = { step ->
                p.sight['ci-disagg run'] = { again -> -1 }
                return -1
            }
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'FAILURE', BEFORE + ['sh ci-disagg run', 'archiveArtifacts', 'publishChecks FAILURE', 'error'])
            assert p.cause.message.contains('infrastructure, not your change: Jenkins lost sight of the process twice')
        }
    }

    void agents() {
        scenarios['the agent is lost, another goes on'] = { String name ->
            Pipeline p = start(name)
            p.sight['ci-disagg run'] = { step ->
                p.broken = ['fileExists', 'archiveArtifacts'] // nothing works on an agent that has gone
                p.sight['ci-disagg: find the binary'] = { again ->
                    p.broken = []
                    return null
                }
                throw Pipeline.agentGone('agent-1 was removed')
            }
            p.build("retry(count: 2, conditions: [agent(), nonresumable()]) { node { ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt' } }")
            expect(p, 'SUCCESS', BEFORE + ['archiveArtifacts', 'publishChecks CANCELED'] + BEFORE + AFTER + ['publishChecks SUCCESS'])
            assert jobs(p) == 1
        }
        scenarios['two calls in one workspace'] = { String name ->
            Pipeline p = start(name)
            List<String> cookies = []
            p.sight['ci-disagg run'] = { step ->
                cookies << step.cookie
                p.sight['ci-disagg run'] = { again -> cookies << again.cookie; null }
                return null
            }
            String call = "config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"
            p.build(jenkinsfile("ciDisagg ${call}, name: 'a', keepTestNames: true, stdioRetention: 'failed', skipMarkingStageUnstable: true; " +
                    "ciDisagg ${call}, name: 'b', stage: 'mine'; ciDisagg.report ${call - ", testList: 'ci/perf.txt'"}, name: 'a'"))
            assert p.currentBuild.currentResult == 'SUCCESS'
            assert cookies.size() == 2 && cookies[0] != cookies[1] // the abort of one leaves the other alone
            List runs = Glob.find(new File(p.root, 'runs'), '*/run.json').collect { new JsonSlurper().parse(it).stage }
            assert runs.sort() == ['a', 'mine'] // suites of their own
            assert p.currentBuild.description =~ /^ci-disagg-b: passed: [^·]+ · ci-disagg-a: passed: [^·]+$/ // the report of a replaces its line
            Map junit = p.calls.find { it.step == 'junit' }.params
            assert junit.keepTestNames == true && junit.stdioRetention == 'failed' && junit.skipMarkingStageUnstable == true && junit.keepProperties
        }
        scenarios['two calls at the same time'] = { String name ->
            Pipeline p = start(name)
            String call = "config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"
            p.build(jenkinsfile("ciDisagg ${call}, comment: { ciDisagg ${call}, cluster: 'b200' }"))
            expect(p, 'SUCCESS', BEFORE + AFTER + ['publishChecks SUCCESS', 'error'])
            assert p.log.toString().contains('another call of this build goes on as ci-disagg: give each call a name: of its own')
            p.build(jenkinsfile("ciDisagg ${call}, cluster: 'b200'")) // one after the other on another cluster: not the first one's result
            assert p.cause.message.contains('is of cluster gb200, not of b200') && jobs(p) == 1
        }
        scenarios['a report of an earlier build'] = { String name ->
            Pipeline p = start(name)
            File old = new File(p.workspace, 'ci-disagg-report/report/junit.xml')
            old.parentFile.mkdirs()
            old.text = '<testsuites/>'
            p.build(jenkinsfile("ciDisagg.plan config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            assert old.exists() // a plan has none of its own
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', binary: './none'"))
            assert p.cause.message.contains('cannot be used') && !old.exists()
        }
        scenarios['a folder, a branch with a slash, another directory'] = { String name ->
            Pipeline p = start(name, [BUILD_TAG: 'jenkins-Perf Team-gate-feature%2Fnew-idea-' + 'x' * 300 + '-7'])
            new File(p.workspace, 'ci').renameTo(new File(p.workspace, 'sub dir/ci').with { it.parentFile.mkdirs(); it })
            p.build(jenkinsfile("dir('sub dir') { ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt' }"))
            expect(p, 'SUCCESS', BEFORE + AFTER + ['publishChecks SUCCESS'])
            assert runRecord(p).id.startsWith('jenkins-Perf Team-gate-feature%2Fnew-idea-xxx')
            assert new File(p.workspace, 'sub dir/ci-disagg-report/report/index.html').exists()
        }
    }

    void binaries() {
        scenarios['binary from a URL'] = { String name ->
            Pipeline p = start(name, [PATH: System.getenv('PATH')])
            String sum = java.security.MessageDigest.getInstance('SHA-256').digest(binary.bytes).encodeHex()
            String where = "url: 'file://${binary.path}', sha256: '${sum}'"
            p.build(jenkinsfile("2.times { ciDisagg.plan config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', ${where} }"))
            expect(p, 'SUCCESS', ['sh ci-disagg: find the binary', 'sh ci-disagg plan'] * 2)
            assert p.log.toString().contains('con4_ctx1_tp1_gen1_tp2')
        }
        scenarios['binary with another sha256'] = { String name ->
            Pipeline p = start(name)
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', url: 'file://${binary.path}', sha256: '${'0' * 64}'"))
            expect(p, 'FAILURE', ['sh ci-disagg: find the binary', 'error'])
            assert p.log.toString().contains(': not used')
            assert new File("${p.workspace.path}@tmp").listFiles().every { !it.name.startsWith('ci-disagg-0') }
        }
        scenarios['no binary'] = { String name ->
            Pipeline p = start(name, [PATH: '/usr/bin:/bin'])
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'FAILURE', ['sh ci-disagg: find the binary', 'error'])
            assert p.log.toString().contains('no ci-disagg on this agent')
        }
        scenarios['binary of another version'] = { String name ->
            Pipeline p = start(name)
            File other = new File(p.workspace, 'other')
            other.text = '#!/bin/sh\necho ci-disagg v7.1.0 linux/amd64 go1.26\n'
            other.executable = true
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', binary: './other'"))
            expect(p, 'FAILURE', ['sh ci-disagg: find the binary', 'error'])
            assert p.cause.message == 'ciDisagg: the binary is ci-disagg 7.1.0, the library belongs to 0.1.0'
        }
        scenarios['exit code and report contradict each other'] = { String name ->
            Pipeline p = start(name)
            File other = new File(p.workspace, 'other')
            other.text = """#!/bin/sh
                case \$1 in version) echo ci-disagg v0.1.9 linux/amd64 go1.26; exit ;; esac
                mkdir -p ci-disagg-report; echo '{"exit_code": 0, "headline": "all well"}' >ci-disagg-report/result.json; exit 5
                """.stripIndent()
            other.executable = true
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', binary: './other'"))
            expect(p, 'FAILURE', BEFORE + ['archiveArtifacts', 'publishChecks FAILURE', 'error'])
            assert p.cause.message == 'ciDisagg: exit 5, but the report says 0'
        }
        scenarios['words of an ending'] = { String name ->
            [[0, 'passed', 'passed', false], [0, 'not judged yet', 'not judged yet', false], [0, 'skipped', 'skipped', false], [0, null, 'passed', false],
             [1, 'TEST FAILED', 'a test failed', false], [2, 'NOT RUN', 'usage, config or plan is wrong', false],
             [3, 'INFRASTRUCTURE', 'infrastructure, not your change', true], [3, 'NOT FINISHED', 'not finished', false],
             [3, null, 'infrastructure, not your change', true], [4, 'REGRESSION', 'performance regression', false],
             [5, 'NO VERDICT', 'no verdict', false], [6, null, 'another driver took over', false], [129, 'INTERRUPTED', 'interrupted', false],
             [130, 'INTERRUPTED', 'interrupted', false], [131, 'INTERRUPTED', 'interrupted', false], [143, 'INTERRUPTED', 'interrupted', false],
             [77, null, 'unexpected exit code 77', false]].each { int code, String word, String says, boolean infra ->
                Pipeline p = start(name)
                File other = new File(p.workspace, 'other')
                String result = JsonOutput.toJson([exit_code: code, headline: 'so it went'] + (word ? [word: word] : [:]))
                other.text = '#!/bin/sh\ncase $1 in version) echo ci-disagg v0.1.9 linux/amd64 go1.26; exit ;; esac\n' +
                        "mkdir -p ci-disagg-report; echo '${result}' >ci-disagg-report/result.json; exit ${code}\n"
                other.executable = true
                p.globals.got = [:]
                p.build(jenkinsfile("got.map = ciDisagg(config: 'ci/ci-disagg.yaml', binary: './other', propagate: false)"))
                assert p.currentBuild.description == "ci-disagg: ${says}: so it went"
                assert p.globals.got.map.exitCode == code && p.globals.got.map.infra == infra
            }
        }
        scenarios['exit 0 without a report'] = { String name ->
            Pipeline p = start(name)
            File other = new File(p.workspace, 'other')
            other.text = '#!/bin/sh\necho ci-disagg v0.1.9 linux/amd64 go1.26\n'
            other.executable = true
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', binary: './other'"))
            expect(p, 'FAILURE', BEFORE + ['archiveArtifacts', 'publishChecks FAILURE', 'error'])
            assert p.cause.message == 'ciDisagg: exit 0, but there is no report'
        }
    }

    void parts() {
        scenarios['publishing steps fail or are missing'] = { String name ->
            Pipeline p = start(name)
            p.broken = ['junit', 'publishHTML']
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt'"))
            expect(p, 'UNSTABLE', BEFORE + AFTER + ['publishChecks SUCCESS']) // the others are still called; unpublished tests are not green
            p = start(name)
            p.missingPlugins = ['publishHTML', 'publishChecks']
            p.build(jenkinsfile("ciDisagg.report config: 'ci/ci-disagg.yaml', comment: { throw new IllegalStateException('no token') }"))
            expect(p, 'SUCCESS', ['sh ci-disagg: find the binary', 'sh ci-disagg report', 'junit', 'archiveArtifacts'])
            assert p.log.toString().contains('no step publishHTML here') && p.log.toString().contains('comment failed')
        }
        scenarios['awkward texts stay one argument'] = { String name ->
            Pipeline p = start(name)
            String awkward = "a b'\"; touch pwned; \$(touch pwned) `touch pwned`\\n--wait"
            p.globals.awkward = awkward
            p.build(jenkinsfile("ciDisagg config: 'ci/ci-disagg.yaml', testList: 'ci/perf.txt', stage: awkward, commit: '--detach'"))
            expect(p, 'SUCCESS', BEFORE + AFTER + ['publishChecks SUCCESS'])
            assert runRecord(p).stage == awkward && runRecord(p).build.commit == '--detach'
            assert !new File(p.workspace, 'pwned').exists()
        }
        scenarios['parameters the library refuses'] = { String name ->
            [["name: 'a/b'", 'name'], ["mode: 'weekly'", 'mode'], ["coment: { }", 'closure'], ["results: [3: 'GREEN']", 'results'],
             ["results: [regression: 'FAILURE']", "'regression' is not an exit code"], ["results: 'FAILURE'", 'not a map']].each { given, says ->
                Pipeline p = start(name)
                p.build(jenkinsfile("ciDisagg config: 'x', ${given}"))
                expect(p, 'FAILURE', ['error'])
                assert p.cause.message.contains(says)
            }
        }
    }

    void examples() {
        scenarios['example: nightly'] = { String name ->
            Pipeline p = start(name)
            p.build(new File(repository, 'jenkins/examples/nightly.Jenkinsfile')) { fill(new File(p.root, 'slurm-login/workspace/perf gate'), p.root, '{pins: pins.yaml, reruns: 0}', 'value: 331, tolerance: 90%') }
            expect(p, 'SUCCESS', BEFORE + AFTER + ['publishChecks SUCCESS'])
        }
        scenarios['example: pull request'] = { String name ->
            Pipeline p = start(name, [CHANGE_ID: '12', CHANGE_TARGET: 'main'])
            p.env.values.remove('GIT_COMMIT') // a scripted checkout does not set it
            File gh = new File(p.root, 'bin/gh')
            gh.parentFile.mkdirs()
            gh.text = '''#!/bin/sh
                case "$*" in
                  *--paginate*) echo "$MARKER" >"$HOME/gh.marker"; cat "$HOME/gh.id" 2>/dev/null ;;
                  *) echo "$*" >>"$HOME/gh.args"; printf %s "$GH_TOKEN" >"$HOME/gh.token"; cp comment.md "$HOME/comment.md" ;;
                esac
                '''.stripIndent()
            gh.executable = true
            String path = "${gh.parentFile.path}:${p.env.values.PATH}"
            p.env.values.PATH = path
            File example = new File(repository, 'jenkins/examples/pullRequest.Jenkinsfile')
            String base = null
            p.build(example) {
                File ws = new File(p.root, 'slurm-login/workspace/perf gate')
                fill(ws, p.root, '{pins: pins.yaml, reruns: 0}', 'value: 331, tolerance: 90%')
                base = repositoryWithChange(ws)
            }
            List<String> steps = ['sh ci-disagg: find the binary', 'sh ci-disagg: ask the clone', 'publishChecks IN_PROGRESS', 'sh ci-disagg run'] + AFTER +
                    ['publishChecks SUCCESS', 'sh Comment on the pull request']
            expect(p, 'SUCCESS', steps)
            Map build = runRecord(p).build
            assert build.merge_base == base && build.commit =~ /^[0-9a-f]{40}$/ && build.commit != base
            assert new File(p.root, 'comment.md').text.startsWith(new File(p.root, 'gh.marker').text)
            assert new File(p.root, 'gh.marker').text.startsWith('<!-- ci-disagg:summary ')
            assert new File(p.root, 'gh.token').text == 'secret of github-token'
            new File(p.root, 'gh.id').text = '77\n' // there is a comment now: the next time it is edited
            p = start(name, [CHANGE_ID: '12', CHANGE_TARGET: 'main', PATH: path, BUILD_TAG: "jenkins-${name}-8".toString()])
            p.build(example)
            assert new File(p.root, 'gh.args').readLines()*.take(20) == ['pr comment 12 --body', 'api --silent --metho']
            assert new File(p.root, 'gh.args').text.contains('issues/comments/77')
        }
        scenarios['example: both builds in pairs'] = { String name ->
            Pipeline p = start(name, [CHANGE_ID: '12', CHANGE_TARGET: 'main', JOB_NAME: 'gate'])
            p.env.values.remove('GIT_COMMIT')
            String base = null
            String example = new File(repository, 'jenkins/examples/paired.Jenkinsfile').text.replace('/shared/ci', "${p.root.path}/shared")
            p.build(writeTo(new File(p.root, 'Jenkinsfile'), example)) {
                base = repositoryOfPairs(new File(p.root, 'shared/workspaces/gate'), p.root)
            }
            expect(p, 'FAILURE', ['sh Build base and head', 'sh ci-disagg: find the binary', 'sh ci-disagg: ask the clone', 'publishChecks IN_PROGRESS', 'sh ci-disagg run'] +
                    AFTER + ['publishChecks FAILURE', 'error'])
            Map verdict = (Map) new JsonSlurper().parse(Glob.find(new File(p.root, 'runs'), '*/report/verdict.json')[0])
            assert verdict.cases[0].message =~ /SET request_throughput is \d+[.]\d % worse/
            Map plan = (Map) new JsonSlurper().parse(Glob.find(new File(p.root, 'runs'), '*/cases/*/plan.json')[0])
            assert plan.builds*.commit == [base, runRecord(p).build.commit] && plan.builds[0].source == "${p.root.path}/shared/workspaces/gate/base"
        }
        scenarios['example: matrix over clusters'] = { String name ->
            Pipeline p = start(name)
            p.build(new File(repository, 'jenkins/examples/clusters.Jenkinsfile')) {
                fill(new File(p.root, 'login-gb200/workspace/perf gate'), p.root, '{pins: pins.yaml, reruns: 0}', 'value: 331, tolerance: 90%')
                fill(new File(p.root, 'login-b200/workspace/perf gate'), p.root, '{pins: pins.yaml, reruns: 0}', 'value: 9000, tolerance: 5%')
            }
            expect(p, 'UNSTABLE', BEFORE + AFTER + ['publishChecks SUCCESS'] + BEFORE + AFTER + ['publishChecks FAILURE', 'unstable'])
            List dirs = new File(p.root, 'runs').list().sort()
            assert dirs.size() == 2 && dirs.every { it.contains('-b200') || it.contains('-gb200') }
            assert dirs.collect { new JsonSlurper().parse(new File(p.root, "runs/${it}/run.json")).stage }.sort() == ['b200', 'gb200']
        }
    }

    /** Runs all scenarios, some at a time: they mostly wait, but each is a whole run. */
    int run(List<String> only) {
        Map<String, Closure> chosen = only ? scenarios.findAll { k, v -> only.any { o -> k.contains(o) } } : scenarios
        assert chosen
        ExecutorService pool = Executors.newFixedThreadPool(Math.min(8, 2 * Runtime.runtime.availableProcessors()))
        Map<String, Future> all = chosen.collectEntries { String name, Closure body ->
            [name, pool.submit({
                long t = System.currentTimeMillis()
                body(name.replaceAll('[^a-z]+', '-'))
                System.currentTimeMillis() - t
            } as Callable)]
        }
        int failed = 0
        all.each { String name, Future f ->
            try {
                println "ok    ${name} (${f.get() / 1000} s)"
            } catch (java.util.concurrent.ExecutionException e) {
                failed++
                println "FAIL  ${name}: ${e.cause}\n${e.cause.stackTrace.findAll { it.fileName?.endsWith('.groovy') }.take(4).join('\n')}"
            }
        }
        pool.shutdown()
        println "${all.size()} scenarios, ${failed} failed"
        return failed
    }
}

LibraryTest test = new LibraryTest(new File(args[0]).canonicalFile, new File(args[1]).canonicalFile, new File(args[2]).canonicalFile)
System.exit(test.run(args.length > 3 ? args[3..-1] : []) ? 1 : 0)
