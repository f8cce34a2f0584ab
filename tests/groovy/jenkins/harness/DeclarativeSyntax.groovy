package harness

import org.codehaus.groovy.ast.ASTNode
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.CodeVisitorSupport
import org.codehaus.groovy.ast.expr.BinaryExpression
import org.codehaus.groovy.ast.expr.ClosureExpression
import org.codehaus.groovy.ast.expr.ConstantExpression
import org.codehaus.groovy.ast.expr.DeclarationExpression
import org.codehaus.groovy.ast.expr.Expression
import org.codehaus.groovy.ast.expr.GStringExpression
import org.codehaus.groovy.ast.expr.MethodCallExpression
import org.codehaus.groovy.ast.stmt.BlockStatement
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.ast.stmt.Statement
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer
import org.codehaus.groovy.syntax.SyntaxException

/**
 * Finds {@code pipeline { }} where Jenkins does: in a Jenkinsfile, and in {@code call} of a vars file. There it says
 * what Jenkins says of a text that is no Declarative Pipeline; elsewhere, it is a step that nobody knows how to run.
 */
class DeclarativeSyntax extends CompilationCustomizer {
    /** What the compiler calls instead of {@code pipeline}, where it is Declarative. */
    static final String CHECKED = '$pipeline'

    private SourceUnit source

    DeclarativeSyntax() { super(CompilePhase.CONVERSION) }

    void call(SourceUnit unit, GeneratorContext context, ClassNode type) {
        source = unit
        if (!type.script) {
            return
        }
        type.methods.findAll { it.name in ['run', 'call'] }.each { method ->
            method.code?.visit(new CodeVisitorSupport() {
                void visitMethodCallExpression(MethodCallExpression call) {
                    ClosureExpression body = bodyOf(call)
                    if (call.implicitThis && call.methodAsString == 'pipeline' && body && 'agent' in names(body)) {
                        call.method = new ConstantExpression(CHECKED)
                        sections(body)
                    } else {
                        super.visitMethodCallExpression(call)
                    }
                }
            })
        }
    }

    private void refuse(ASTNode node, String why) {
        source.addError(new SyntaxException(why, node.lineNumber, node.columnNumber))
    }

    private static ClosureExpression bodyOf(MethodCallExpression call) {
        List arguments = call.arguments.expressions
        return arguments && arguments.last() instanceof ClosureExpression ? arguments.last() : null
    }

    private static List<Statement> statements(ClosureExpression body) {
        body.code instanceof BlockStatement ? body.code.statements : [body.code]
    }

    private static MethodCallExpression callOf(Statement statement) {
        statement instanceof ExpressionStatement && statement.expression instanceof MethodCallExpression
            ? statement.expression : null
    }

    private static List<String> names(ClosureExpression body) {
        statements(body).collect { callOf(it)?.methodAsString }
    }

    /** The sections of a pipeline or a stage. */
    private void sections(ClosureExpression body) {
        statements(body).each { Statement statement ->
            MethodCallExpression call = callOf(statement)
            ClosureExpression inner = call ? bodyOf(call) : null
            String name = call?.methodAsString
            if (name in ['stages', 'parallel', 'steps', 'environment', 'post'] && inner == null) {
                refuse(call, "Expected a block for ${name}")
                return
            }
            switch (name) {
                case ['stages', 'parallel']:
                    statements(inner).each { stage(it) }
                    break
                case 'steps':
                    statements(inner).each { step(it) }
                    break
                case 'environment':
                    statements(inner).each { variable(it) }
                    break
                case 'post':
                    statements(inner).collect { callOf(it) }.findAll { it && bodyOf(it) }.each { condition ->
                        statements(bodyOf(condition)).each { step(it) }
                    }
                    break
            }
        }
    }

    private void stage(Statement statement) {
        MethodCallExpression call = callOf(statement)
        if (call?.methodAsString != 'stage') {
            refuse(statement, 'Expected a stage')
        } else if (!(call.arguments.expressions[0] instanceof ConstantExpression)) {
            refuse(call.arguments.expressions[0], 'Expected string literal')
        } else {
            sections(bodyOf(call))
        }
    }

    private void step(Statement statement) {
        MethodCallExpression call = callOf(statement)
        if (call == null) {
            refuse(statement, 'Expected a step')
        } else if (!call.implicitThis) {
            refuse(statement, 'Method calls on objects not allowed outside "script" blocks.')
        } else if (call.methodAsString != 'script') {
            bodyOf(call) && statements(bodyOf(call)).each { step(it) }
        }
    }

    private void variable(Statement statement) {
        Expression set = statement instanceof ExpressionStatement ? statement.expression : null
        if (!(set instanceof BinaryExpression) || set instanceof DeclarationExpression) {
            refuse(statement, 'Expected name=value pairs')
        } else if (!text(set.rightExpression)) {
            refuse(set.rightExpression,
                'Environment variable values must either be single quoted, double quoted, or function calls.')
        }
    }

    private static boolean text(Expression value) {
        value instanceof ConstantExpression || value instanceof GStringExpression ||
            value instanceof MethodCallExpression ||
            value instanceof BinaryExpression && text(value.leftExpression) && text(value.rightExpression)
    }
}
