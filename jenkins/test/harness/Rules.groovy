package harness

import org.codehaus.groovy.ast.ClassCodeVisitorSupport
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.Parameter
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.ForStatement
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.Phases
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.syntax.Types

/**
 * What plain Groovy does not show: Jenkins suspends and serializes a pipeline at every step (CPS), and may run it in a
 * sandbox. Reads the AST of a script and lists what would not survive that:
 *
 * - sh with a script that is not a constant, or a constant resource of the library;
 * - a local that may not be serializable in a method that runs steps: only String, numbers, boolean, Map, List, String[]
 *   and Closure are declared there, no def, no matcher, and no for loop, whose iterator is such a local too;
 * - a closure handed to anything but a step or a method of the script itself: each, collect, sort and the like call it
 *   from Java code, which CPS cannot suspend;
 * - a step, or a method that may run one, in a NonCPS method;
 * - members outside the committed part of script-security's whitelist.
 */
class Rules {
    static final Set<String> SERIALIZABLE = ['java.lang.String', 'int', 'long', 'boolean', 'java.lang.Integer', 'java.lang.Boolean',
                                             'java.util.Map', 'java.util.List', '[Ljava.lang.String;', 'groovy.lang.Closure']
    static final Set<String> GLOBALS = ['env', 'currentBuild', 'params', 'scm', 'ciDisagg', 'ciDisaggPrCheck', 'ciDisaggNightly']

    private final Map<String, Set<String>> allowed = [:].withDefault { [] as Set } // member -> classes
    private final Set<String> constructors = []

    Rules(File whitelist) {
        whitelist.eachLine { String line ->
            String[] words = line.split(' ')
            if (line.startsWith('new ')) {
                constructors << words[1]
            } else if (!line.startsWith('#')) {
                allowed[words[2]] << words[1]
            }
        }
    }

    List<String> check(String name, String text) {
        CompilationUnit unit = new CompilationUnit(new CompilerConfiguration(), null, new GroovyClassLoader(Rules.classLoader))
        SourceUnit source = unit.addSource(name, text.startsWith('import') ? "import harness.NonCPS;${text}" : "import harness.NonCPS; import harness.Library;${text}")
        unit.compile(Phases.SEMANTIC_ANALYSIS)
        List<String> found = []
        unit.AST.classes.findAll { ClassNode c -> c.outerClass == null }.each { ClassNode c ->
            Map<String, MethodNode> own = c.methods.collectEntries { MethodNode m -> [m.name, m] }
            c.methods.each { MethodNode m -> new Reader(m, own, source, this, found).read() }
        }
        return found
    }

    boolean permits(String type, String member) {
        Set<String> classes = allowed.containsKey(member) ? allowed[member] : []
        if (type == null || classes.isEmpty()) {
            return !classes.isEmpty() // a value out of a map: the name has to do
        }
        return classes.any { String c ->
            c == type || c == 'java.lang.Object' || c.endsWith('DefaultGroovyMethods') || c == 'java.util.Collection' && type == 'java.util.List'
        }
    }

    boolean constructs(String type) { return constructors.contains(type) }
}

/** Reads one method. */
class Reader extends ClassCodeVisitorSupport {
    private final MethodNode method
    private final Map<String, MethodNode> own
    private final SourceUnit source
    private final Rules rules
    private final List<String> found
    private final boolean nonCps
    private final Map<String, String> types = [:]

    Reader(MethodNode method, Map<String, MethodNode> own, SourceUnit source, Rules rules, List<String> found) {
        this.method = method
        this.own = own
        this.source = source
        this.rules = rules
        this.found = found
        this.nonCps = isNonCps(method)
    }

    static boolean isNonCps(MethodNode m) { return m.annotations.any { it.classNode.nameWithoutPackage == 'NonCPS' } }

    void read() {
        if (method.name == 'main' || method.code == null) {
            return
        }
        method.parameters.each { Parameter p -> declare(p.name, p.type, method) }
        method.code.visit(this)
    }

    @Override
    protected SourceUnit getSourceUnit() { return source }

    private void say(Object node, String what) { found << "${source.name}:${node.lineNumber}: ${method.name}: ${what}".toString() }

    private void declare(String name, ClassNode type, Object node) {
        String t = type.name
        types[name] = t == 'java.lang.Object' ? null : t
        if (!nonCps && !Rules.SERIALIZABLE.contains(t) && name != '_') { // _ is what @Library is written on
            say(node, "local ${name} has type ${t}, which may not be serializable at the next step")
        }
    }

    @Override
    void visitDeclarationExpression(DeclarationExpression e) {
        if (e.isMultipleAssignmentDeclaration()) {
            say(e, 'several locals in one declaration')
        } else {
            declare(e.variableExpression.name, e.variableExpression.type, e)
        }
        super.visitDeclarationExpression(e)
    }

    @Override
    void visitForLoop(ForStatement s) {
        if (!nonCps) {
            say(s, 'for loop in a method that runs steps: its iterator is a local')
        }
        types[s.variable.name] = s.variable.type.name == 'java.lang.Object' ? null : s.variable.type.name
        super.visitForLoop(s)
    }

    @Override
    void visitBinaryExpression(BinaryExpression e) {
        if (!nonCps && e.operation.type == Types.FIND_REGEX) {
            say(e, 'a matcher is not serializable')
        }
        if (e.operation.type == Types.PLUS && typeOf(e.leftExpression) == 'groovy.lang.GString' && typeOf(e.rightExpression) != 'java.lang.String') {
            say(e, 'groovy.lang.GString.plus is whitelisted for a String only')
        }
        super.visitBinaryExpression(e)
    }

    @Override
    void visitConstructorCallExpression(ConstructorCallExpression e) {
        if (!nonCps) {
            say(e, "new ${e.type.name} in a method that runs steps")
        }
        if (!rules.constructs(e.type.name)) {
            say(e, "new ${e.type.name} is not whitelisted")
        }
        super.visitConstructorCallExpression(e)
    }

    @Override
    void visitStaticMethodCallExpression(StaticMethodCallExpression e) {
        ownCall(e, e.method)
        super.visitStaticMethodCallExpression(e)
    }

    @Override
    void visitMethodCallExpression(MethodCallExpression e) {
        String name = e.methodAsString
        boolean mine = e.implicitThis || e.objectExpression instanceof VariableExpression && e.objectExpression.name == 'this'
        boolean script = e.objectExpression instanceof VariableExpression && Rules.GLOBALS.contains(e.objectExpression.name) &&
                !types.containsKey(e.objectExpression.name)
        if (name == null) {
            say(e, 'method name is computed')
        } else if (mine && types.containsKey(name)) {
            // a closure in a local: runs what the caller passed
        } else if (mine) {
            ownCall(e, name)
            if (name == 'sh') {
                shell(e)
            }
        } else if (!script && !rules.permits(typeOf(e.objectExpression), name)) {
            say(e, "${typeOf(e.objectExpression) ?: '?'}.${name} is not whitelisted")
        }
        if (!mine && !script && !nonCps && e.arguments instanceof TupleExpression &&
                e.arguments.expressions.any { Expression a -> a instanceof ClosureExpression }) {
            say(e, "closure handed to ${name}, which CPS cannot suspend")
        }
        super.visitMethodCallExpression(e)
    }

    private void ownCall(Object e, String name) {
        MethodNode target = own[name]
        if (target == null && !Pipeline.PARAMETERS.containsKey(name) && !Rules.GLOBALS.contains(name) && name != 'pipeline' && !declarative(name)) {
            say(e, "${name} is neither a known step nor a method of this script")
        }
        if (nonCps && (target == null || !isNonCps(target))) {
            say(e, "${name} may be a step, or run one, in a NonCPS method")
        }
    }

    private boolean declarative(String name) { return source.name.endsWith('Jenkinsfile') && Section.NAMES.contains(name) }

    /** The script of sh is a constant, or a resource of the library by a constant name. */
    private void shell(MethodCallExpression e) {
        Expression script = null
        e.arguments.expressions.each { Expression a ->
            if (a instanceof MapExpression) {
                a.mapEntryExpressions.each { MapEntryExpression m ->
                    if (m.keyExpression instanceof ConstantExpression && m.keyExpression.value == 'script') {
                        script = m.valueExpression
                    }
                }
            } else {
                script = a
            }
        }
        boolean resource = script instanceof MethodCallExpression && script.methodAsString == 'libraryResource' &&
                script.arguments.expressions.every { Expression a -> a instanceof ConstantExpression }
        if (!(script instanceof ConstantExpression) && !resource) {
            say(e, 'sh with a script that is not a constant')
        }
    }

    @Override
    void visitPropertyExpression(PropertyExpression e) {
        String type = typeOf(e.objectExpression)
        String name = e.propertyAsString
        String getter = name ? "get${name.capitalize()}" : '?'
        boolean array = type?.startsWith('[') && name == 'length'
        boolean map = type == null || type == 'java.util.Map'
        if (['class', 'metaClass'].contains(name) || !array && !map && !rules.permits(type, getter)) {
            say(e, "${type ?: '?'}.${name} is not whitelisted")
        }
        super.visitPropertyExpression(e)
    }

    @Override
    void visitClosureExpression(ClosureExpression e) {
        e.parameters?.each { Parameter p -> types[p.name] = p.type.name == 'java.lang.Object' ? null : p.type.name }
        super.visitClosureExpression(e)
    }

    /** The type of an expression as far as it can be seen; null: not. */
    private String typeOf(Expression e) {
        switch (e) {
            case ClassExpression: return e.type.name
            case GStringExpression: return 'groovy.lang.GString'
            case ConstantExpression: return e.type.name
            case MapExpression: return 'java.util.Map'
            case ListExpression: return 'java.util.List'
            case ConstructorCallExpression: return e.type.name
            case CastExpression: return e.type.name
            case VariableExpression: return types[e.name]
            case StaticMethodCallExpression: return own[e.method]?.returnType?.name
            case MethodCallExpression: return resultOf(e)
            default: return null
        }
    }

    private String resultOf(MethodCallExpression e) {
        if (e.implicitThis) {
            return own[e.methodAsString]?.returnType?.name ?: ['libraryResource', 'readFile', 'pwd'].contains(e.methodAsString) ? 'java.lang.String' : null
        }
        switch (e.methodAsString) {
            case ['toString', 'trim', 'substring', 'join']: return 'java.lang.String'
            case 'split': return '[Ljava.lang.String;'
            default: return null
        }
    }
}
