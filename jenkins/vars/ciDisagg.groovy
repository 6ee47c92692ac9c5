/*
 * One step around the ci-disagg binary. Groovy is glue here: it writes the parameters to a file, runs a constant
 * command line, turns the exit code into a build result by one table, and publishes the report whatever happened.
 * Everything else is decided by the binary.
 *
 * Jenkins transforms this code (CPS) and may run it in the sandbox: no local that cannot be serialized is held across a
 * step, no steps run inside each, collect and the like, and methods marked NonCPS call no step. jenkins/test checks that.
 */
import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import groovy.transform.Field
import hudson.AbortException

/** Calls that go on, by label. A build has one object of this script, which parallel branches share. */
@Field Map busy = [:]

/** Runs a suite and does everything around it. */
Map call(Map params = [:]) {
    return work('run', params)
}

/** Resolves and checks a suite; submits nothing. */
Map plan(Map params = [:]) {
    return work('plan', params)
}

/** Goes on with a run that another build or agent began. */
Map resume(Map params = [:]) {
    return work('resume', params)
}

/** Merges, judges and publishes a finished run again. */
Map report(Map params = [:]) {
    return work('report', params)
}

private Map work(String verb, Map params) {
    String wrong = complaint(params)
    if (wrong) {
        error("ciDisagg: ${wrong}")
    }
    // Build numbers begin again when a job is made anew, and two controllers may share a cluster: BUILD_TAG alone would find
    // the finished run of another build. The time at which a build was scheduled stays the same over restarts.
    String build = env.BUILD_TAG ? "${env.BUILD_TAG}-${currentBuild.timeInMillis}" : ''
    Map job = describe(verb, params, build, env.CHANGE_ID ? 'pr' : 'nightly')
    if (busy[job.label]) { // the same run id and the same files
        error("ciDisagg: another call of this build goes on as ${job.label}: give each call a name: of its own")
    }
    busy.put(job.label, true)
    try {
        return perform(job, params)
    } finally {
        busy.put(job.label, false)
    }
}

private Map perform(Map job, Map params) {
    String tmp = pwd(tmp: true)
    job.argsFile = "${tmp}/${job.label}.args.json".toString()
    if (job.verb != 'plan') {
        dir(job.reportDir) { deleteDir() } // an earlier build's, which nobody must take for this one's
    }
    prepare(job, tmp)
    boolean needsBase = job.mode == 'pr' && !params.mergeBase
    boolean needsCommit = !params.commit && !env.GIT_COMMIT && !env.gitlabCommit // a scripted checkout sets neither
    if (job.verb == 'run' && (needsBase || needsCommit)) {
        askClone(job, tmp, needsBase ? "${params.branch ?: env.CHANGE_TARGET ?: ''}".toString() : '', needsCommit)
    }
    writeFile(file: job.argsFile, text: argumentsJson(job), encoding: 'UTF-8')
    if (job.verb == 'plan') {
        job.code = execute(job)
        return conclude(job)
    }
    if (job.checks) { // the check is under way, and may be watched
        ifInstalled('publishChecks') {
            publishChecks(name: job.label, title: "${job.verb} goes on".toString(), summary: "run ${job.runId}".toString(),
                          status: 'IN_PROGRESS', conclusion: 'NONE', detailsURL: env.BUILD_URL ? "${env.BUILD_URL}console".toString() : '')
        }
    }
    try {
        job.code = execute(job)
    } finally {
        publish(job)
    }
    return conclude(job)
}

/** Finds or downloads the binary, and compares its version with the library's. */
private void prepare(Map job, String tmp) {
    String out = "${tmp}/${job.label}.binary.txt"
    int code = -1
    withEnv(["CI_DISAGG_BINARY=${job.binary}", "CI_DISAGG_URL=${job.url}", "CI_DISAGG_SHA256=${job.sha256}",
             "CI_DISAGG_CACHE=${tmp}", "CI_DISAGG_OUT=${out}"]) {
        code = sh(script: libraryResource('ci-disagg/prepare.sh'), returnStatus: true, label: 'ci-disagg: find the binary')
    }
    if (code == 2) {
        error('ciDisagg: the binary cannot be used; the reason is above')
    }
    if (code != 0) {
        error('ciDisagg: infrastructure, not your change: the binary could not be had; the reason is above')
    }
    String[] lines = readFile(file: out, encoding: 'UTF-8').split('\n')
    job.path = lines[0]
    String library = libraryResource('ci-disagg/version').trim()
    String version = releaseOf(lines[1])
    String skew = version ? versionSkew(library, version) : "${lines[1]} is no release; the library is ${library}"
    if (skew && version && job.versionCheck == 'error') {
        error("ciDisagg: ${skew}")
    }
    if (skew) {
        echo("ciDisagg: warning: ${skew}")
    }
}

/** Adds what the workspace's clone knows of the commits to the flags; without them the binary says what it does instead. */
private void askClone(Map job, String tmp, String target, boolean needsCommit) {
    String out = "${tmp}/${job.label}.commits.txt"
    int code = -1
    withEnv(["CI_DISAGG_TARGET=${target}", "CI_DISAGG_OUT=${out}"]) {
        code = sh(script: libraryResource('ci-disagg/commits.sh'), returnStatus: true, label: 'ci-disagg: ask the clone')
    }
    if (code != 0) {
        return
    }
    String[] lines = readFile(file: out, encoding: 'UTF-8').split('\n')
    if (needsCommit) {
        job.flags.commit = lines[0]
    }
    if (lines.length > 2) {
        job.flags.mergeBase = lines[1]
        job.flags.mergeBaseTime = lines[2]
    }
}

/**
 * Runs the binary and gives its exit code. Negative codes are not the binary's: Jenkins has lost sight of the process
 * (-1) or never saw it start (-2), typically because of a slow file system. It may be alive, so the same command is run
 * once more: it resumes the run of this id, waits for a driver that still lives, submits no second job for a live one,
 * and begins the run only if it never began.
 */
private int execute(Map job) {
    int code = seen(job)
    if (code < 0) {
        echo("ciDisagg: Jenkins lost sight of the process (${code}); resuming ${job.runId}")
        code = seen(job)
    }
    return code
}

/** The exit code; -1 also where the step itself gives up (its workspace is missing, say): with returnStatus no exit code throws. */
private int seen(Map job) {
    try {
        return shell(job)
    } catch (AbortException e) {
        echo("ciDisagg: the sh step gave up: ${e.message}")
        return -1
    }
}

/**
 * exec, so that an abort reaches the binary itself and the exit code that Jenkins records is the binary's. Jenkins tells
 * the processes of a step by a cookie that it makes from the step's directory: each call has one of its own, so that the
 * abort of one does not end the others of the workspace.
 */
private int shell(Map job) {
    int code = -1
    String workspace = pwd()
    dir("${pwd(tmp: true)}/${job.label}") {
        withEnv(["CI_DISAGG_BINARY=${job.path}", "CI_DISAGG_ARGS=${job.argsFile}", "CI_DISAGG_WORKSPACE=${workspace}"]) {
            switch (job.verb) {
                case 'run':
                    code = sh(script: 'cd "$CI_DISAGG_WORKSPACE" && exec "$CI_DISAGG_BINARY" run --args-file "$CI_DISAGG_ARGS"',
                              returnStatus: true, label: 'ci-disagg run')
                    break
                case 'plan':
                    code = sh(script: 'cd "$CI_DISAGG_WORKSPACE" && exec "$CI_DISAGG_BINARY" plan --args-file "$CI_DISAGG_ARGS"',
                              returnStatus: true, label: 'ci-disagg plan')
                    break
                case 'resume':
                    code = sh(script: 'cd "$CI_DISAGG_WORKSPACE" && exec "$CI_DISAGG_BINARY" resume --args-file "$CI_DISAGG_ARGS"',
                              returnStatus: true, label: 'ci-disagg resume')
                    break
                default:
                    code = sh(script: 'cd "$CI_DISAGG_WORKSPACE" && exec "$CI_DISAGG_BINARY" report --args-file "$CI_DISAGG_ARGS"',
                              returnStatus: true, label: 'ci-disagg report')
            }
        }
    }
    return code
}

/** Everything that is shown of a run. Each part fails for itself; an abort passes through all of them. */
private void publish(Map job) {
    // Without an exit code the build is aborted, has failed, or is tried again on another agent, which must be able to pass.
    String worst = job.code == null ? 'SUCCESS' : 'UNSTABLE'
    guarded(worst, 'result') {
        if (fileExists("${job.reportDir}/result.json")) {
            job.report = parseResult(readFile(file: "${job.reportDir}/result.json", encoding: 'UTF-8'))
        }
    }
    Map report = job.report
    if (report.junit) {
        guarded(worst, 'junit') {
            junit([testResults: "${job.reportDir}/${report.junit}".toString(), keepProperties: true, skipMarkingBuildUnstable: true,
                   skipPublishingChecks: true] + job.junit)
        }
    }
    guarded(worst, 'archiveArtifacts') {
        archiveArtifacts(artifacts: "${job.reportDir}/**", allowEmptyArchive: true)
    }
    if (report.index && job.html) {
        ifInstalled('publishHTML') {
            publishHTML(target: [reportName: job.label, reportDir: job.reportDir, reportFiles: report.index,
                                 keepAll: true, alwaysLinkToLastBuild: true, allowMissing: true])
        }
    }
    if (report.summary) {
        guarded('SUCCESS', 'summary') {
            job.comment = readFile(file: "${job.reportDir}/${report.summary}", encoding: 'UTF-8')
        }
    }
    if (job.checks) { // also when the step was aborted: nothing else ends the check that was announced
        String shown = report.index ? "artifact/${job.reportDir}/${report.index}" : 'console'
        ifInstalled('publishChecks') {
            publishChecks(name: job.label, title: verdictLine(job), summary: job.comment ?: verdictLine(job),
                          conclusion: conclusionOf(resultOf(job)), detailsURL: env.BUILD_URL ? "${env.BUILD_URL}${shown}".toString() : '')
        }
    }
    if (job.description) {
        guarded('SUCCESS', 'description') {
            currentBuild.description = described(currentBuild.description ?: '', job)
        }
    }
    if (job.onComment && job.comment) {
        guarded('SUCCESS', 'comment') {
            job.onComment.call(job.comment)
        }
    }
}

/** Runs the body in a try of its own. What goes wrong is said and makes the build no better than worst; an interruption is passed on. */
private void guarded(String worst, String what, Closure body) {
    catchError(buildResult: worst, stageResult: worst, catchInterruptions: false, message: "ciDisagg: ${what} failed") {
        body()
    }
}

/** Runs the body around a step of a plugin that a controller need not have. */
private void ifInstalled(String step, Closure body) {
    guarded('SUCCESS', step) {
        try {
            body()
        } catch (NoSuchMethodError e) {
            echo("ciDisagg: no step ${step} here")
        }
    }
}

/** Makes the exit code the build's result. */
private Map conclude(Map job) {
    String result = resultOf(job)
    String text = "ciDisagg: ${verdictLine(job)}"
    Map out = [exitCode: job.code, result: result, infra: infrastructure(job), headline: job.report.headline ?: '',
               comment: job.comment, runId: job.report.runId ?: job.runId, runDir: job.report.runDir ?: '', reportDir: job.reportDir]
    String usual = resultTable(job.mode)[job.code]
    if (usual != null && result != usual && !contradicted(job)) {
        echo("ciDisagg: exit ${job.code} counts as ${result} here, not as ${usual}: results parameter")
    }
    if (result == 'SUCCESS' || !job.propagate) {
        echo(text)
        return out
    }
    if (result == 'UNSTABLE') {
        unstable(text)
        return out
    }
    if (result != 'FAILURE') {
        currentBuild.result = result // error alone would make it FAILURE
    }
    error(text)
    return out // never reached: error throws
}

/** What each exit code of the binary means for a build. */
@NonCPS
private static Map resultTable(String mode) {
    return [
        0: 'SUCCESS',
        1: 'FAILURE',  // a test failed
        2: 'FAILURE',  // usage, config or plan is wrong
        3: 'FAILURE',  // infrastructure, or not finished
        4: mode == 'pr' ? 'FAILURE' : 'UNSTABLE', // performance regression
        5: 'UNSTABLE', // no verdict
        6: 'ABORTED', // another driver has the run, and says what becomes of it
        129: 'ABORTED',
        130: 'ABORTED',
        131: 'ABORTED',
        143: 'ABORTED',
    ]
}

/** Whether exit code and report contradict each other. Green needs evidence, so exit 0 needs a report. */
@NonCPS
private static boolean contradicted(Map job) {
    if (job.verb == 'plan' || job.code < 0) {
        return false
    }
    return job.report.exitCode == null ? job.code == 0 : job.report.exitCode != job.code
}

/** The build result of a job's exit code. */
@NonCPS
private static String resultOf(Map job) {
    if (job.code == null) {
        return 'ABORTED'
    }
    if (contradicted(job)) {
        return 'FAILURE'
    }
    String own = job.results[job.code] ?: job.results["${job.code}".toString()]
    return own ?: resultTable(job.mode)[job.code] ?: 'FAILURE'
}

/** Whether the infrastructure is to blame. Exit 3 is also the end of a run of which something is still to come. */
@NonCPS
private static boolean infrastructure(Map job) {
    return job.code < 0 || job.code == 3 && job.report.word != 'NOT FINISHED'
}

/** One line for people. */
@NonCPS
private static String verdictLine(Map job) {
    if (job.code == null) {
        return job.report.word == 'INTERRUPTED' ? "interrupted: ${job.report.headline}" : 'ended before there was an exit code'
    }
    Map words = [
        0: job.report.word ?: 'passed', // not one that nobody judged
        1: 'a test failed', 2: 'usage, config or plan is wrong',
        3: infrastructure(job) ? 'infrastructure, not your change' : 'not finished',
        4: 'performance regression', 5: 'no verdict', 6: 'another driver took over',
        129: 'interrupted', 130: 'interrupted', 131: 'interrupted', 143: 'interrupted',
    ]
    if (job.code < 0) {
        return "infrastructure, not your change: Jenkins lost sight of the process twice (${job.code}); next: ci-disagg resume --run-id ${job.runId}"
    }
    if (contradicted(job)) {
        return job.report.exitCode == null ? 'exit 0, but there is no report' : "exit ${job.code}, but the report says ${job.report.exitCode}"
    }
    String word = words[job.code] ?: "unexpected exit code ${job.code}"
    return job.report.headline ? "${word}: ${job.report.headline}" : word
}

/** The build's description with this call's line; a second call of the same label replaces the first one's. */
@NonCPS
private static String described(String old, Map job) {
    List lines = []
    for (String kept : old.split(' · ')) {
        if (kept && !kept.startsWith("${job.label}: ".toString())) {
            lines.add(kept)
        }
    }
    lines.add("${job.label}: ${verdictLine(job)}".toString().replace('\n', ' '))
    return lines.join(' · ')
}

/** Conclusions of the Checks API, fail closed: GitHub lets NEUTRAL and SKIPPED pass as required checks. */
@NonCPS
private static String conclusionOf(String result) {
    return result == 'SUCCESS' ? 'SUCCESS' : result == 'ABORTED' ? 'CANCELED' : 'FAILURE'
}

/** What is wrong with the parameters as far as the library knows them; the binary knows its flags better. */
@NonCPS
private static String complaint(Map params) {
    List levels = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']
    for (Map.Entry entry : params.entrySet()) {
        if (entry.value instanceof Closure && entry.key != 'comment') {
            return "${entry.key} is a closure; only comment takes one"
        }
    }
    if (params.name && !"${params.name}".toString().matches('[A-Za-z0-9._-]{1,64}')) {
        return "name '${params.name}' has other characters than A-Z a-z 0-9 . _ -, or more than 64"
    }
    if (params.mode && !['nightly', 'pr'].contains("${params.mode}".toString())) {
        return "mode '${params.mode}' is not nightly or pr"
    }
    if (params.versionCheck && !['error', 'warn'].contains("${params.versionCheck}".toString())) {
        return "versionCheck '${params.versionCheck}' is not error or warn"
    }
    if (params.results && !(params.results instanceof Map)) {
        return "results is not a map of exit codes, such as [5: 'FAILURE']"
    }
    for (Map.Entry entry : (params.results ?: [:]).entrySet()) {
        if (!"${entry.key}".toString().matches('-?[0-9]+')) {
            return "results: '${entry.key}' is not an exit code"
        }
        if (!levels.contains("${entry.value}".toString())) {
            return "results: '${entry.value}' is not one of ${levels.join(', ')}"
        }
    }
    return ''
}

/** A call as a plain map of serializable values. */
@NonCPS
private static Map describe(String verb, Map params, String build, String usualMode) {
    String name = params.name ? "${params.name}" : ''
    Map job = [
        verb: verb, flags: [:], args: [], code: null, report: [:], comment: '',
        label: name ? "ci-disagg-${name}".toString() : 'ci-disagg',
        mode: "${params.mode ?: usualMode}".toString(),
        binary: "${params.binary ?: 'ci-disagg'}".toString(), path: '',
        url: "${params.url ?: ''}".toString(), sha256: "${params.sha256 ?: ''}".toString(),
        versionCheck: "${params.versionCheck ?: 'error'}".toString(),
        results: params.results ?: [:], propagate: params.propagate != false,
        html: params.html != false, checks: params.checks != false, description: params.description != false,
        onComment: params.comment, junit: [:],
    ]
    for (String option : ['keepTestNames', 'stdioRetention', 'skipMarkingStageUnstable']) { // the junit step's own
        if (params[option] != null) {
            job.junit.put(option, params[option])
        }
    }
    job.reportDir = "${job.label}-report".toString()
    // The library's own parameters; all others are flags of the binary.
    List own = ['binary', 'url', 'sha256', 'versionCheck', 'name', 'mode', 'results', 'propagate', 'html', 'checks', 'comment', 'tests',
                'runDir', 'runId', 'description', 'keepTestNames', 'stdioRetention', 'skipMarkingStageUnstable']
    for (Map.Entry entry : params.entrySet()) {
        if (!own.contains(entry.key)) {
            job.flags.put(entry.key, entry.value)
        }
    }
    String ownId = name && build ? "${build}-${name}" : build
    job.runId = "${params.runId ?: ownId}".toString()
    boolean begins = verb == 'run' || verb == 'plan'
    if (begins) {
        job.args.addAll(params.tests instanceof CharSequence ? [params.tests] : params.tests ?: [])
    } else if (params.runDir) {
        job.args.add("${params.runDir}".toString())
    }
    if (begins && name && params.stage == null) {
        job.flags.put('stage', name) // suites of its own: two clusters of one build are told apart by it
    }
    if (verb == 'run') {
        job.flags.put('mode', job.mode)
        job.flags.put('runDir', params.runDir)
        job.flags.put('lifelineDefault', '4h') // nobody resumes a build whose controller is gone for longer
    }
    if (verb != 'plan') {
        job.flags.put('copyReport', job.reportDir)
        job.flags.put('runId', begins || !params.runDir ? job.runId : null)
    }
    if (verb == 'run' || verb == 'resume') {
        job.flags.put('wait', true)
        // Gigabytes of role output belong into the run directory, not into the controller's log.
        job.flags.put('quiet', params.quiet != false)
    }
    return job
}

/** The text of the binary's --args-file. */
@NonCPS
private static String argumentsJson(Map job) {
    return JsonOutput.toJson([flags: job.flags, args: job.args])
}

/** result.json as a map that can be serialized; JsonSlurper's own cannot. */
@NonCPS
private static Map parseResult(String text) {
    Map read = new JsonSlurper().parseText(text)
    return [exitCode: read.get('exit_code'), headline: read.get('headline'), runId: read.get('run_id'), runDir: read.get('run_dir'),
            word: read.get('word'), junit: read.get('junit'), summary: read.get('summary'), index: read.get('index')]
}

/** The release in what the binary says about its version, 0.1.0 or v0.1.0; empty when it was built from a commit in between. */
@NonCPS
private static String releaseOf(String says) {
    String[] words = says.split(' ')
    String version = words.length > 1 ? words[1] : ''
    if (version.startsWith('v')) {
        version = version.substring(1)
    }
    return version.matches('[0-9]+[.][0-9]+[.][0-9]+') && !version.startsWith('0.0.') ? version : ''
}

/** Library and binary belong together when the first two numbers of their versions are the same. */
@NonCPS
private static String versionSkew(String library, String binary) {
    String[] theirs = binary.split('[.]')
    String[] ours = library.split('[.]')
    return theirs[0] == ours[0] && theirs[1] == ours[1] ? '' : "the binary is ci-disagg ${binary}, the library belongs to ${library}"
}
