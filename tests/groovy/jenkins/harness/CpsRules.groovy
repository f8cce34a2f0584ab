package harness

import org.codehaus.groovy.ast.ASTNode
import org.codehaus.groovy.ast.ClassCodeVisitorSupport
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.CaseStatement
import org.codehaus.groovy.ast.stmt.CatchStatement
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.ast.stmt.ForStatement
import org.codehaus.groovy.ast.stmt.SynchronizedStatement
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.Phases
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.syntax.Types

/**
 * What plain Groovy runs and Jenkins does not: constructs that its CPS engine breaks, often silently, or that its
 * sandbox refuses. Judged by names, since types are not known before a step runs; where that is too strict, there is
 * another way to say the same. In {@code @NonCPS} methods only the sandbox's rules hold, and no steps.
 */
class CpsRules extends ClassCodeVisitorSupport {
    /** Take a closure without going through the CPS engine: it runs once at most, and its result becomes theirs. */
    static final Set<String> CLOSURE_ONCE = ['sort', 'toSorted', 'unique', 'takeWhile', 'eachLine', 'forEach',
        'removeIf', 'computeIfAbsent', 'computeIfPresent', 'compute', 'merge', 'replaceAll']
    /** Make what cannot be saved; harmless only when used up within one expression. */
    static final Set<String> NOT_SAVED = ['subList', 'stream', 'matcher']
    static final Set<String> NOT_IN_SANDBOX = ['classLoader', 'decodeBase64', 'encodeBase64', 'execute',
        'getClassLoader', 'getEnvironment', 'getHost', 'getID', 'getMetaClass', 'getRawBuild', 'getStackTrace', 'grep',
        'indexed', 'intersect', 'isBlank', 'lines', 'printStackTrace', 'setProperty', 'sprintf',
        'stream', 'strip', 'upto', 'withIndex']
    static final Set<String> PROPERTIES_NOT_IN_SANDBOX = ['classLoader', 'metaClass', 'rawBuild', 'stackTrace']
    /** Passed by the sandbox with a closure or an argument only. */
    static final Set<String> NEEDS_ARGUMENT = ['every', 'join', 'max']
    static final Set<String> CLASSES_NOT_IN_SANDBOX = ['Class', 'Duration', 'Eval', 'Instant', 'Jenkins',
        'JsonParserType', 'MessageDigest', 'Optional', 'Paths', 'System', 'Thread', 'ZoneId']
    static final Map<String, Integer> CONSTRUCTORS = [ArrayList: 1, Date: 0, Exception: 1, HashMap: 0, HashSet: 0,
        JsonSlurper: 0, LinkedHashSet: 0, Random: 0, SimpleDateFormat: 1, StringBuilder: 0, StringWriter: 0, TreeMap: 0]
    static final Set<String> BROKEN_ANNOTATIONS = ['Canonical', 'CompileStatic', 'Immutable', 'Trait']

    final List<String> findings = []
    private final SourceUnit source
    private Set<String> cpsMethods = []
    private final Set<String> classes = []
    private MethodNode method
    private boolean nonCps

    static List<String> check(File file) {
        def unit = new CompilationUnit()
        SourceUnit source = unit.addSource(file)
        unit.compile(Phases.CONVERSION)
        def rules = new CpsRules(source)
        source.AST.classes.each { rules.classes << it.nameWithoutPackage }
        source.AST.classes.each { rules.visitClass(it) }
        return rules.findings
    }

    private CpsRules(SourceUnit source) { this.source = source }

    protected SourceUnit getSourceUnit() { source }

    private void refuse(ASTNode node, String why) { findings << "${node.lineNumber}: ${why}".toString() }

    private static boolean annotated(node, String name) {
        node.annotations.any { it.classNode.nameWithoutPackage == name }
    }

    void visitClass(ClassNode node) {
        node.annotations.findAll { it.classNode.nameWithoutPackage in BROKEN_ANNOTATIONS }.each {
            refuse(node, "@${it.classNode.nameWithoutPackage} does not compile")
        }
        cpsMethods = node.methods.findAll { !annotated(it, 'NonCPS') }*.name as Set
        super.visitClass(node)
    }

    protected void visitConstructorOrMethod(MethodNode node, boolean isConstructor) {
        method = node
        nonCps = annotated(node, 'NonCPS')
        node.parameters.findAll { it.type.nameWithoutPackage == 'Closure' && it.initialExpression }.each {
            refuse(node, "a default for the closure '${it.name}' makes '${node.name} { }' fail")
        }
        if (node.name == 'run' && node.declaringClass.script) {
            node.code.statements.findAll { it instanceof ExpressionStatement }*.expression.each { top(it) }
        }
        super.visitConstructorOrMethod(node, isConstructor)
    }

    /** What stands at a vars file's top: only fields, since Jenkins never runs it. */
    private void top(Expression expression) {
        if (expression instanceof DeclarationExpression ? !annotated(expression, 'Field')
            : expression instanceof BinaryExpression && expression.operation.type == Types.EQUAL) {
            refuse(expression, 'a variable at the top is invisible in methods; say @Field')
        }
    }

    void visitMethodCallExpression(MethodCallExpression call) {
        String name = call.methodAsString
        List<Expression> arguments = call.arguments instanceof TupleExpression ? call.arguments.expressions : []
        boolean closure = arguments && (arguments.last() instanceof ClosureExpression
            || arguments.last() instanceof CastExpression)
        String receiver = call.objectExpression.text.tokenize('.').last()
        if (call.spreadSafe) {
            refuse(call, "'*.${name}()' does not compile")
        }
        if (!nonCps && closure && name in CLOSURE_ONCE - (arguments.size() > 1 ? ['replaceAll'] : [])) {
            refuse(call, "'${name} { }' does not go through the CPS engine; put it into a @NonCPS method")
        }
        boolean step = Catalogue.PARAMETERS.containsKey(name) && !(name in Catalogue.AT_ONCE)
        if (nonCps && call.implicitThis && (name in cpsMethods || step)) {
            refuse(call, "'${name}' is a step or CPS method: called by @NonCPS code, its value replaces the caller's")
        }
        if (name in NOT_IN_SANDBOX || name in NEEDS_ARGUMENT && !arguments && !call.implicitThis) {
            if (!(name == 'setProperty' && receiver == 'env')) {
                refuse(call, "the sandbox refuses '${name}'")
            }
        }
        if (name == 'findAll' && arguments && !closure) {
            refuse(call, "the sandbox refuses 'findAll' without a closure")
        }
        if (receiver in CLASSES_NOT_IN_SANDBOX && name != 'currentTimeMillis') {
            refuse(call, "the sandbox refuses ${receiver}")
        }
        String place = source.name.endsWith('Jenkinsfile') ? 'run' : 'call'
        if (name == 'pipeline' && call.implicitThis && method?.name != place) {
            refuse(call, "'pipeline { }' works directly in 'call' only")
        }
        if (name == 'sh' && call.implicitThis) {
            shell(call, arguments)
        }
        super.visitMethodCallExpression(call)
    }

    /** House rule: what a shell gets is a constant; values reach it through withEnv. */
    private void shell(MethodCallExpression call, List<Expression> arguments) {
        def named = arguments.find { it instanceof MapExpression || it instanceof NamedArgumentListExpression }
        def script = named ? named.mapEntryExpressions.find { it.keyExpression.text == 'script' }?.valueExpression
            : arguments ? arguments[0] : null
        boolean resource = script instanceof MethodCallExpression && script.methodAsString == 'libraryResource' &&
            script.arguments.expressions.every { it instanceof ConstantExpression }
        if (!resource && !(script instanceof ConstantExpression)) {
            refuse(call, "the script of 'sh' must be a constant text; give it values through withEnv")
        }
    }

    void visitCatchStatement(CatchStatement statement) {
        String caught = statement.exceptionType.nameWithoutPackage
        if (nonCps && caught in ['Error', 'Throwable']) {
            refuse(statement, "a @NonCPS method that catches ${caught} swallows the engine's own signals")
        }
        super.visitCatchStatement(statement)
    }

    void visitConstructorCallExpression(ConstructorCallExpression call) {
        String name = call.type.nameWithoutPackage
        int arguments = call.arguments instanceof TupleExpression ? call.arguments.expressions.size() : 0
        if (call.usingAnonymousInnerClass) {
            refuse(call, 'the sandbox refuses anonymous classes')
        } else if (!call.specialCall && !(name in classes)) {
            if (!CONSTRUCTORS.containsKey(name) || arguments < CONSTRUCTORS[name]
                || arguments > 0 && name in ['JsonSlurper', 'TreeMap']) {
                refuse(call, "the sandbox refuses 'new ${name}(${arguments ? '..' : ''})'")
            } else if (name == 'JsonSlurper' && !nonCps) {
                refuse(call, 'JSON is read in @NonCPS methods: its maps cannot be saved')
            }
        }
        super.visitConstructorCallExpression(call)
    }

    void visitPropertyExpression(PropertyExpression node) {
        String name = node.propertyAsString
        if (node.spreadSafe && name in ['key', 'value']) {
            refuse(node, "'*.${name}' of a map is silently null")
        }
        if (name in PROPERTIES_NOT_IN_SANDBOX
            || node.objectExpression.text.tokenize('.').last() in CLASSES_NOT_IN_SANDBOX) {
            refuse(node, "the sandbox refuses '${node.text}'")
        }
        super.visitPropertyExpression(node)
    }

    void visitBinaryExpression(BinaryExpression node) {
        if (node.operation.type == Types.LEFT_SQUARE_BRACKET && node.leftExpression.text == 'env') {
            refuse(node, 'the sandbox refuses env[..]; say env."${name}"')
        }
        if (!nonCps && node.operation.type == Types.EQUAL) {
            held(node.rightExpression)
        }
        super.visitBinaryExpression(node)
    }

    void visitDeclarationExpression(DeclarationExpression node) { visitBinaryExpression(node) }

    /** Kept in a variable, these break the build when the engine saves its state. */
    private void held(Expression value) {
        if (value instanceof BinaryExpression && value.operation.type == Types.FIND_REGEX
            || value instanceof MethodCallExpression && value.methodAsString in NOT_SAVED) {
            refuse(value, "'${value.text}' cannot be saved; use it up in one expression or in a @NonCPS method")
        }
    }

    void visitForLoop(ForStatement loop) {
        if (!nonCps && loop.variable.type.nameWithoutPackage == 'Object'
            && loop.loopBlock.text =~ /\b${loop.variable.name}\.(key|value)\b/) {
            refuse(loop, "a map's entry cannot be saved; use 'map.each { key, value -> }'")
        }
        super.visitForLoop(loop)
    }

    void visitCaseStatement(CaseStatement statement) {
        if (statement.expression instanceof ClosureExpression) {
            refuse(statement, 'a closure as case does not work')
        }
        super.visitCaseStatement(statement)
    }

    void visitSynchronizedStatement(SynchronizedStatement statement) {
        refuse(statement, "'synchronized' does not compile")
    }

    void visitGStringExpression(GStringExpression node) {
        if (node.values.any { it instanceof ClosureExpression }) {
            refuse(node, 'a lazy "${-> }" is evaluated once')
        }
        super.visitGStringExpression(node)
    }
}
