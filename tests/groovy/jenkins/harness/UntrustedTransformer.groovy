package harness

import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.sandbox.Untrusted
import org.codehaus.groovy.ast.ClassCodeExpressionTransformer
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.FieldNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.expr.CastExpression
import org.codehaus.groovy.ast.stmt.Statement
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.SourceUnit
import org.kohsuke.groovy.sandbox.SandboxTransformer

/**
 * Compiles code for the engine whose every call the sandbox sees: CPS code by its tag, all other code (constructors,
 * fields, {@code @NonCPS} methods) by the sandbox's own transformation. The engine's own transformer of this kind wants
 * a newer sandbox than the published one.
 */
class UntrustedTransformer extends CpsTransformer {
    private final SandboxTransformer sandbox = new SandboxTransformer()
    private ClassCodeExpressionTransformer visitor

    void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        visitor = sandbox.createVisitor(source, type)
        super.call(source, context, type)
    }

    protected void processConstructors(ClassNode type) { sandbox.processConstructors(visitor, type) }

    protected void visitNontransformedMethod(MethodNode method) { visitor.visitMethod(method) }

    protected void visitNontransformedField(FieldNode field) { visitor.visitField(field) }

    protected void visitNontransformedStatement(Statement statement) { statement.visit(visitor) }

    void visitCastExpression(CastExpression cast) {
        makeNode('sandboxCastOrCoerce', {
            loc(cast)
            visit(cast.expression)
            literal(cast.type)
            literal(cast.ignoringAutoboxing)
            literal(cast.coerce)
            literal(cast.strict)
        } as Runnable)
    }

    protected Class getTrustTag() { Untrusted }
}
