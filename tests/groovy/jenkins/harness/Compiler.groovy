package harness

import com.cloudbees.groovy.cps.CpsTransformer
import com.cloudbees.groovy.cps.TransformerConfiguration
import groovy.transform.CompileStatic
import groovy.transform.TupleConstructor
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.Phases
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.ImportCustomizer
import org.codehaus.groovy.tools.GroovyClass
import org.jenkinsci.plugins.workflow.cps.CpsClosure2

/**
 * A class loader of one build, that compiles scripts as Jenkins does: transformed for the CPS engine, and for the
 * sandbox if they are not trusted. What is compiled once in this JVM is only defined anew for the next build.
 */
@CompileStatic
class Compiler extends GroovyClassLoader {
    private static final Map<List, Compiled> COMPILED = [:]

    private final boolean sandbox
    private final Map<String, byte[]> pending = [:]

    /** @param sources where scripts and classes lie that are found by their names */
    Compiler(ClassLoader parent, boolean sandbox, List<File> sources) {
        super(parent)
        this.sandbox = sandbox
        sources.each { addURL(it.toURI().toURL()) }
    }

    private CompilerConfiguration configuration() {
        def transformer = sandbox ? new UntrustedTransformer() : new CpsTransformer()
        transformer.configuration = new TransformerConfiguration().withClosureType(CpsClosure2)
        def imports = new ImportCustomizer()
        imports.addImports('com.cloudbees.groovy.cps.NonCPS', 'org.jenkinsci.plugins.workflow.libs.Library')
        imports.addStarImports('hudson.model', 'jenkins.model')
        def configuration = new CompilerConfiguration(scriptBaseClass: PipelineScript.name)
        configuration.addCompilationCustomizers(imports, new DeclarativeSyntax(), transformer)
        return configuration
    }

    Class parseClass(GroovyCodeSource source, boolean cached) {
        List key = [source.name, source.scriptText, sandbox, URLs as List]
        if (!COMPILED.containsKey(key)) {
            def unit = new CompilationUnit(configuration(), null, this)
            SourceUnit main = unit.addSource(source.name, source.scriptText)
            unit.compile(Phases.CLASS_GENERATION)
            COMPILED[key] = new Compiled(main.AST.classes.first().name, (List<GroovyClass>) unit.classes)
        }
        Compiled compiled = COMPILED[key]
        // A class of another source that it needs may be there already.
        compiled.classes.findAll { findLoadedClass(it.name) == null }.each { pending[it.name] = it.bytes }
        compiled.classes.each { loadClass(it.name) }
        return loadClass(compiled.main)
    }

    Class loadClass(String name, boolean lookup, boolean preferClass, boolean resolve) {
        byte[] bytes = pending.remove(name)
        if (bytes != null) {
            Class defined = defineClass(name, bytes)
            setClassCacheEntry(defined)
            return defined
        }
        return super.loadClass(name, lookup, preferClass, resolve)
    }

    @TupleConstructor
    private static class Compiled {
        String main
        List<GroovyClass> classes
    }
}
