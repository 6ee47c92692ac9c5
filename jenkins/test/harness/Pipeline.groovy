package harness

import groovy.io.FileType
import hudson.AbortException
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer
import java.util.concurrent.TimeUnit

/** What the user, or Jenkins, does to a running step: ends it as an abort does. */
class FlowInterruptedException extends InterruptedException {
    FlowInterruptedException(String message) { super(message) }
}

/** The agent of a step is offline or has been removed. */
class AgentGone extends IOException {
    AgentGone(String message) { super(message) }
}

/** env: unknown names are null, values are texts. */
class Env {
    final Map<String, String> values = new TreeMap<>()
    Object getProperty(String name) { return name == 'values' ? this.@values : this.@values[name] }
    void setProperty(String name, Object value) { this.@values[name] = value.toString() }
}

/** currentBuild: its result only ever gets worse. */
class CurrentBuild {
    private static final List<String> ORDER = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']
    private String worst
    long timeInMillis = 1795226400000L // when it was scheduled
    String description
    String getResult() { return worst }
    String getCurrentResult() { return worst ?: 'SUCCESS' }
    void setResult(String result) {
        if (!ORDER.contains(result)) {
            throw new IllegalArgumentException("no such result: ${result}")
        }
        if (worst == null || ORDER.indexOf(result) > ORDER.indexOf(worst)) {
            worst = result
        }
    }
}

/** Base of every script: what it does not define is a step, or a global variable of the library. */
abstract class PipelineScript extends Script {
    private Pipeline build // not a property: Script keeps those in its binding
    void runIn(Pipeline build) { this.@build = build }
    Object methodMissing(String name, Object args) { return this.@build.step(name, args as Object[]) }
    Object propertyMissing(String name) { return this.@build.global(name) }
}

/**
 * One build: a workspace, an environment, a result, and the steps that the library uses. sh really runs; the other steps
 * check what the real ones check. Parameters that a step does not have are refused, as Jenkins does.
 */
class Pipeline {
    static final Map<String, List<String>> PARAMETERS = [
        sh: ['script', 'returnStatus', 'returnStdout', 'label', 'encoding'],
        junit: ['testResults', 'keepProperties', 'skipMarkingBuildUnstable', 'skipPublishingChecks', 'allowEmptyResults',
                'keepTestNames', 'stdioRetention', 'skipMarkingStageUnstable'],
        archiveArtifacts: ['artifacts', 'allowEmptyArchive'],
        publishHTML: ['target'],
        publishChecks: ['name', 'title', 'summary', 'text', 'conclusion', 'status', 'detailsURL'],
        catchError: ['buildResult', 'stageResult', 'catchInterruptions', 'message'],
        writeFile: ['file', 'text', 'encoding'], readFile: ['file', 'encoding'], fileExists: ['file'], pwd: ['tmp'],
        unstable: ['message'], error: ['message'], echo: ['message'], withEnv: ['overrides'], dir: ['path'], deleteDir: [],
        libraryResource: ['resource', 'encoding'], stage: ['name'], node: ['label'], timeout: ['time', 'unit'], parallel: null,
        checkout: ['scm'], withCredentials: ['bindings'], string: ['credentialsId', 'variable'], library: ['identifier'],
        cron: ['spec'], disableConcurrentBuilds: ['abortPrevious'], buildDiscarder: ['strategy'], logRotator: ['numToKeepStr'],
        properties: ['properties'], retry: ['count', 'conditions'], agent: [], nonresumable: [], timestamps: [],
    ]
    static final List<String> CONCLUSIONS = ['NONE', 'ACTION_REQUIRED', 'SKIPPED', 'CANCELED', 'TIME_OUT', 'FAILURE', 'NEUTRAL', 'SUCCESS']

    final File library
    final File root
    final Env env = new Env()
    final CurrentBuild currentBuild = new CurrentBuild()
    final List<Map> calls = Collections.synchronizedList([])
    final StringBuffer log = new StringBuffer()
    final Map<String, Object> globals = [:]
    Set<String> missingPlugins = []
    Set<String> broken = []         // steps that throw
    Map sight = [:]                 // label of an sh step -> closure(step) that decides what Jenkins sees of it, used once
    Closure abortWhen               // asked while an sh step runs; true: the user aborts
    Throwable cause
    Map<String, Integer> tests = [passed: 0, failed: 0]
    String stageResult = 'SUCCESS'
    private File cwd
    private final GroovyShell shell

    Pipeline(File library, File root, Map<String, String> environment) {
        this.library = library
        this.root = root
        environment.each { k, v -> env.values[k] = v }
        enter('agent')
        CompilerConfiguration config = new CompilerConfiguration(scriptBaseClass: PipelineScript.name)
        ImportCustomizer imports = new ImportCustomizer()
        imports.addImports(NonCPS.name, Library.name)
        config.addCompilationCustomizers(imports)
        shell = new GroovyShell(Pipeline.classLoader, new Binding(), config)
        new File(library, 'vars').eachFileMatch(FileType.FILES, ~/.*[.]groovy/) { File f ->
            globals[f.name - '.groovy'] = load(f)
        }
    }

    static Throwable agentGone(String message) { return new AgentGone(message) }

    File getWorkspace() { return new File(env.values.WORKSPACE) }

    private void enter(String agent) {
        File ws = new File(root, "${agent}/workspace/perf gate")
        ws.mkdirs()
        cwd = ws
        env.values.WORKSPACE = ws.path
    }

    private PipelineScript load(File f) {
        PipelineScript script = (PipelineScript) shell.parse(f)
        script.runIn(this)
        return script
    }

    Object global(String name) {
        switch (name) {
            case 'env': return env
            case 'currentBuild': return currentBuild
            case 'scm': return 'scm'
        }
        if (globals.containsKey(name)) {
            return globals[name]
        }
        if (env.values.containsKey(name)) {
            return env.values[name] // Pipeline lets scripts read environment variables by their names
        }
        throw new MissingPropertyException(name, PipelineScript)
    }

    /** Runs a Jenkinsfile, or a closure over the library, to its end as Jenkins would. */
    String build(File jenkinsfile, Closure prepare = null) {
        return finish {
            if (prepare) {
                prepare()
            }
            load(jenkinsfile).run()
        }
    }

    String build(String jenkinsfile) {
        return finish {
            PipelineScript script = (PipelineScript) shell.parse(jenkinsfile, 'Jenkinsfile')
            script.runIn(this)
            script.run()
        }
    }

    private String finish(Closure body) {
        try {
            body()
        } catch (FlowInterruptedException e) {
            cause = e
            currentBuild.result = 'ABORTED'
        } catch (Throwable e) {
            cause = e
            log << "${e}\n"
            if (!(e instanceof AbortException)) {
                List frames = e.stackTrace.findAll { f -> f.fileName =~ /[.]groovy$|Jenkinsfile/ && !f.className.startsWith('groovy.') }
                log << frames.take(12).join('\n') << '\n'
            }
            currentBuild.result = 'FAILURE'
        }
        return currentBuild.currentResult
    }

    /** The calls of the named steps, in order, as readable texts. */
    List<String> trace(List<String> names) {
        return calls.findAll { names.contains(it.step) }.collect { it.shown }
    }

    Object step(String name, Object[] args) {
        if (globals.containsKey(name)) {
            return globals[name].invokeMethod('call', args)
        }
        if (name == 'pipeline') {
            return new Declarative(this).run((Closure) args[0])
        }
        if (!PARAMETERS.containsKey(name) || missingPlugins.contains(name)) {
            throw new NoSuchMethodError("No such DSL method '${name}' found among steps [${PARAMETERS.keySet().join(', ')}]")
        }
        Closure body = args && args[-1] instanceof Closure ? (Closure) args[-1] : null
        Object[] rest = body ? args.toList()[0..<-1] as Object[] : args
        Map params = rest && rest[0] instanceof Map ? (Map) rest[0] : rest ? [(PARAMETERS[name]?.getAt(0) ?: ''): rest[0]] : [:]
        if (PARAMETERS[name] != null && !PARAMETERS[name].containsAll(params.keySet())) {
            throw new IllegalArgumentException("${name}: unknown parameters ${params.keySet() - PARAMETERS[name]}")
        }
        calls << [step: name, params: params, shown: shown(name, params)]
        if (broken.contains(name)) {
            throw new IllegalStateException("${name} does not work today")
        }
        return "do${name.capitalize()}"(params, body)
    }

    private static String shown(String name, Map params) {
        switch (name) {
            case 'sh': return "sh ${params.label ?: params.script}"
            case 'publishChecks': return "publishChecks ${params.status == 'IN_PROGRESS' ? params.status : params.conclusion}"
            case 'unstable': return 'unstable'
            case 'error': return 'error'
            default: return name
        }
    }

    // Steps.

    private Object doEcho(Map p, Closure b) { log << "${p.message}\n"; return null }
    private Object doError(Map p, Closure b) { throw new AbortException(p.message.toString()) }
    private Object doUnstable(Map p, Closure b) {
        log << "${p.message}\n"
        stageResult = 'UNSTABLE'
        currentBuild.result = 'UNSTABLE'
        return null
    }
    private Object doPwd(Map p, Closure b) { return p.tmp ? "${cwd.path}@tmp".toString() : cwd.path }
    private Object doFileExists(Map p, Closure b) { return at(p.file).exists() }
    private Object doReadFile(Map p, Closure b) { return at(p.file).getText('UTF-8') }
    private Object doWriteFile(Map p, Closure b) {
        at(p.file).parentFile.mkdirs()
        at(p.file).setText(p.text.toString(), 'UTF-8')
        return null
    }
    private Object doLibraryResource(Map p, Closure b) { return new File(library, "resources/${p.resource}").getText('UTF-8') }
    private Object doDeleteDir(Map p, Closure b) { cwd.deleteDir(); return null }
    private Object doDir(Map p, Closure b) {
        File before = cwd
        cwd = at(p.path)
        try {
            return b()
        } finally {
            cwd = before
        }
    }
    private Object doWithEnv(Map p, Closure b) {
        Map<String, String> before = new TreeMap<>(env.values)
        p.overrides.each { Object e ->
            int i = e.toString().indexOf('=')
            String name = e.toString().substring(0, i)
            String value = e.toString().substring(i + 1)
            if (value) {
                env.values[name] = value
            } else {
                env.values.remove(name) // as hudson.EnvVars.override does
            }
        }
        try {
            return b()
        } finally {
            env.values.clear()
            env.values.putAll(before)
        }
    }
    private Object doCatchError(Map p, Closure b) {
        try {
            b()
        } catch (Throwable t) {
            if (t instanceof FlowInterruptedException && p.catchInterruptions == false) {
                throw t
            }
            log << "${p.message}: ${t}\n"
            if (p.buildResult != 'SUCCESS') {
                currentBuild.result = p.buildResult ?: 'FAILURE'
            }
        }
        return null
    }
    private Object doStage(Map p, Closure b) { return b() }
    private Object doTimeout(Map p, Closure b) { return b() }
    private Object doTimestamps(Map p, Closure b) { return b ? b() : null }
    private Object doRetry(Map p, Closure b) {
        int left = p.count as int
        while (true) {
            try {
                return b()
            } catch (AgentGone e) { // what the conditions of the examples stand for
                if (--left == 0) {
                    throw e
                }
                log << "retrying: ${e.message}\n"
            }
        }
    }
    private Object doAgent(Map p, Closure b) { return 'agent()' }
    private Object doNonresumable(Map p, Closure b) { return 'nonresumable()' }
    private Object doNode(Map p, Closure b) {
        File before = cwd
        enter((p.label ?: 'agent').toString())
        try {
            return b()
        } finally {
            cwd = before
            env.values.WORKSPACE = before.path
        }
    }
    private Object doParallel(Map p, Closure b) {
        Throwable first
        p.findAll { it.value instanceof Closure }.each { name, branch ->
            try {
                branch()
            } catch (Throwable t) {
                first = first ?: t
            }
        }
        if (first) {
            throw first
        }
        return null
    }
    private Object doCheckout(Map p, Closure b) { return [:] }
    private Object doString(Map p, Closure b) { return p }
    private Object doWithCredentials(Map p, Closure b) {
        return doWithEnv([overrides: p.bindings.collect { "${it.variable}=secret of ${it.credentialsId}" }], b)
    }
    private Object doLibrary(Map p, Closure b) { return null }
    private Object doCron(Map p, Closure b) { return null }
    private Object doDisableConcurrentBuilds(Map p, Closure b) { return null }
    private Object doBuildDiscarder(Map p, Closure b) { return null }
    private Object doLogRotator(Map p, Closure b) { return null }
    private Object doProperties(Map p, Closure b) { return null }

    private Object doJunit(Map p, Closure b) {
        List<File> files = glob(p.testResults.toString())
        int cases = 0
        int bad = 0
        files.each { File f ->
            Node xml = new XmlParser(false, false).parse(f)
            List found = xml.depthFirst().findAll { it instanceof Node && it.name() == 'testcase' }
            cases += found.size()
            bad += found.count { it.children().any { c -> c instanceof Node && (c.name() == 'error' || c.name() == 'failure') } }
        }
        if (cases == 0 && !p.allowEmptyResults) {
            throw new AbortException("No test report files were found for ${p.testResults}")
        }
        tests.failed += bad
        tests.passed += cases - bad
        if (bad) {
            if (!p.skipMarkingStageUnstable) {
                stageResult = 'UNSTABLE'
                if (!p.skipMarkingBuildUnstable) {
                    currentBuild.result = 'UNSTABLE'
                }
            }
        }
        return null
    }
    private Object doArchiveArtifacts(Map p, Closure b) {
        List<File> files = glob(p.artifacts.toString())
        if (!files && !p.allowEmptyArchive) {
            throw new AbortException("No artifacts found that match ${p.artifacts}")
        }
        calls[-1].files = files.collect { it.path - "${cwd.path}/" }
        return null
    }
    private Object doPublishHTML(Map p, Closure b) {
        List unknown = p.target.keySet().toList() - ['reportName', 'reportDir', 'reportFiles', 'keepAll', 'alwaysLinkToLastBuild', 'allowMissing']
        if (unknown) {
            throw new IllegalArgumentException("publishHTML: ${unknown}")
        }
        if (!at("${p.target.reportDir}/${p.target.reportFiles}").isFile()) {
            throw new AbortException("no ${p.target.reportFiles} in ${p.target.reportDir}")
        }
        return null
    }
    private Object doPublishChecks(Map p, Closure b) {
        if (!CONCLUSIONS.contains(p.conclusion) || p.status == 'IN_PROGRESS' && p.conclusion != 'NONE' || !p.name || !p.title || p.summary.toString().length() > 65535) {
            throw new IllegalArgumentException("publishChecks: ${p.keySet()}")
        }
        return null
    }

    // sh, as durable-task runs it: a wrapper in the background that keeps touching a log file, the script below it with a
    // cookie in its environment, the exit code in a file.

    private Object doSh(Map p, Closure b) {
        Closure sees = (Closure) sight.remove(p.label ?: p.script)
        Shell step = new Shell(script: p.script.toString(), control: new File("${cwd.path}@tmp/durable-${UUID.randomUUID()}"),
                               cwd: cwd, environment: new TreeMap<>(env.values))
        Integer code = sees ? (Integer) sees(step) : null
        if (code == null) {
            step.start()
            code = step.await(abortWhen)
        }
        log << step.output()
        if (p.returnStatus) {
            return code
        }
        if (code != 0) {
            throw new AbortException("script returned exit code ${code}")
        }
        return p.returnStdout ? step.output() : null
    }

    private File at(Object path) {
        File f = new File(path.toString())
        return f.absolute ? f : new File(cwd, path.toString())
    }

    private List<File> glob(String pattern) {
        return Glob.find(cwd, pattern)
    }
}

/** One script as durable-task starts, watches and stops it. */
class Shell {
    String script
    File control
    File cwd
    Map<String, String> environment

    private static final String WRAPPER = '''
        ( while [ -d "$CONTROL" ] && [ ! -f "$CONTROL/result" ]; do touch -c "$CONTROL/log"; sleep 1; done &
          export JENKINS_SERVER_COOKIE="$COOKIE"; unset COOKIE
          sh -xe "$CONTROL/script.sh" >"$CONTROL/log" 2>&1
          echo $? >"$CONTROL/result.new"; mv "$CONTROL/result.new" "$CONTROL/result"
        ) >/dev/null 2>&1 </dev/null &'''

    /** As durable-task makes it: steps that run in one directory share it. */
    String getCookie() { return "durable-${Integer.toHexString(cwd.path.hashCode())}" }

    void start() {
        control.mkdirs()
        cwd.mkdirs()
        new File(control, 'script.sh').text = script
        ProcessBuilder builder = new ProcessBuilder('nohup', 'sh', '-c', WRAPPER).directory(cwd)
        builder.redirectErrorStream(true).redirectOutput(new File(control, 'launch'))
        builder.environment().clear()
        builder.environment().putAll(environment)
        builder.environment().putAll([CONTROL: control.path, COOKIE: cookie, JENKINS_SERVER_COOKIE: 'not-the-wrapper'])
        if (!builder.start().waitFor(180, TimeUnit.SECONDS)) {
            throw new IllegalStateException('the wrapper did not start')
        }
    }

    Integer result() {
        File f = new File(control, 'result')
        return f.exists() ? f.text.trim() as Integer : null
    }

    String output() {
        File f = new File(control, 'log')
        return f.exists() ? f.getText('UTF-8') : ''
    }

    /** The exit code. An abort ends the step's processes and then throws. */
    int await(Closure abortWhen) {
        long end = System.currentTimeMillis() + 1200_000
        while (result() == null) {
            if (abortWhen && abortWhen()) {
                stop('TERM')
                long limit = System.currentTimeMillis() + 600_000 // Jenkins waits 20 s, on a machine with less to do
                while (result() == null && System.currentTimeMillis() < limit) {
                    sleep(50)
                }
                throw new FlowInterruptedException('Aborted by ana')
            }
            if (System.currentTimeMillis() > end) {
                stop('KILL')
                throw new IllegalStateException("the step did not end in time:\n${output()}")
            }
            sleep(50)
        }
        return result()
    }

    /** Signals what carries the cookie, children before parents. */
    void stop(String signal) {
        List<Integer> pids = carriers()
        Map<Integer, Integer> parents = pids.collectEntries { pid -> [pid, parentOf(pid)] }
        pids.sort { pid -> -depth(pid, parents) }.each { pid -> ['kill', "-${signal}", "${pid}"]*.toString().execute().waitFor() }
    }

    List<Integer> carriers() {
        List<Integer> found = []
        new File('/proc').eachDirMatch(~/[0-9]+/) { File d ->
            try {
                if (new File(d, 'environ').text.split('\0').contains("JENKINS_SERVER_COOKIE=${cookie}".toString())) {
                    found << (d.name as Integer)
                }
            } catch (IOException e) {
                // it is gone
            }
        }
        return found
    }

    private static int parentOf(int pid) {
        try {
            return new File("/proc/${pid}/stat").text.replaceFirst(/.*\) /, '').split(' ')[1] as Integer
        } catch (IOException e) {
            return 0
        }
    }

    private static int depth(int pid, Map<Integer, Integer> parents) {
        int n = 0
        while (parents.containsKey(pid) && n < 100) {
            pid = parents[pid]
            n++
        }
        return n
    }
}
