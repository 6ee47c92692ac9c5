/*
 * Holds the library and its examples to the rules of harness.Rules, and the rules to code that breaks them. Usage:
 *   groovy -cp jenkins/test jenkins/test/rules.groovy REPOSITORY
 */
import harness.Rules

File jenkins = new File(args[0], 'jenkins')
Rules rules = new Rules(new File(jenkins, 'test/whitelist.txt'))
int failed = 0

// Code that must be refused, with words of the reason.
Map<String, String> bad = [
    'void call(Map p) { sh("run ${p.x}") }': 'not a constant',
    'void call(String s) { sh(script: s, returnStatus: true) }': 'not a constant',
    'void call(String s) { sh(script: libraryResource(s)) }': 'not a constant',
    'void call(String s) { sh(script: "a" + s) }': 'not a constant',
    'void call(List l) { l.each { x -> echo(x) } }': 'closure handed to each',
    'void call(List l) { l.sort { x -> x.size() } }': 'closure handed to sort',
    'void call(Map m) { m.collect { k, v -> k } }': 'closure handed to collect',
    'void call() { def x = 1; echo("a") }': 'local x has type java.lang.Object',
    'void call() { java.util.regex.Matcher m = null; echo("a") }': 'local m has type java.util.regex.Matcher',
    'void call(String s) { if (s =~ "a") { echo("a") } }': 'matcher',
    'void call(List l) { for (String s : l) { echo(s) } }': 'for loop',
    'void call(String s) { echo("a ${s}" + "b ${s}") }': 'GString.plus',
    'void call(Map m) { Map x = new groovy.json.JsonSlurper().parseText(m.t); echo("a") }': 'in a method that runs steps',
    '@NonCPS static String f() { echo("a") }': 'may be a step',
    'String g() { echo("a") }\n@NonCPS String f() { return g() }': 'may be a step',
    'void call() { ech("a") }': 'neither a known step nor',
    'void call() { "ec${"ho"}"("a") }': 'method name is computed',
    '@NonCPS static String f() { return new File("/etc/passwd").text }': 'new java.io.File is not whitelisted',
    '@NonCPS static String f() { return "id".execute().text }': 'java.lang.String.execute is not whitelisted',
    '@NonCPS static String f(String s) { return s.class.name }': 'class is not whitelisted',
    '@NonCPS static Object f() { return System.getenv("A") }': 'java.lang.System.getenv is not whitelisted',
    '@NonCPS static Object f() { return Jenkins.instance }': 'Jenkins',
]
bad.each { String code, String reason ->
    List<String> found
    try {
        found = rules.check('bad', code)
    } catch (org.codehaus.groovy.control.CompilationFailedException e) {
        found = [e.message]
    }
    if (!found.any { String f -> f.contains(reason) }) {
        failed++
        println "FAIL  not refused (${reason}): ${code}\n      found: ${found}"
    }
}

List<File> files = new File(jenkins, 'vars').listFiles().findAll { File f -> f.name.endsWith('.groovy') } + new File(jenkins, 'examples').listFiles().toList()
assert files.size() >= 6
files.sort { File f -> f.name }.each { File f ->
    List<String> found = rules.check(f.name, f.getText('UTF-8'))
    found.each { String line -> println "FAIL  ${line}" }
    failed += found.size()
}

// Every var has its help beside it.
new File(jenkins, 'vars').listFiles().findAll { File f -> f.name.endsWith('.groovy') }.each { File f ->
    if (!new File(f.path.replace('.groovy', '.txt')).exists()) {
        failed++
        println "FAIL  ${f.name} has no .txt"
    }
}
// A shell does not read CRLF, which git writes on a Windows controller.
if (!new File(args[0], '.gitattributes').readLines().contains('jenkins/resources/** text eol=lf')) {
    failed++
    println 'FAIL  .gitattributes does not keep jenkins/resources at LF'
}
println "${bad.size()} broken pieces, ${files.size()} files, ${failed} failed"
System.exit(failed ? 1 : 0)
