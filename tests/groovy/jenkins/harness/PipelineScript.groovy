package harness

import com.cloudbees.groovy.cps.SerializableScript
import groovy.transform.CompileStatic
import org.codehaus.groovy.runtime.InvokerHelper

/**
 * What a Jenkinsfile and a vars file are: a script whose unknown methods are what its binding holds, then steps of the
 * library, then pipeline steps. It is saved with the program, and so is what it holds in fields.
 */
@CompileStatic
abstract class PipelineScript extends SerializableScript {
    Object invokeMethod(String name, Object arguments) {
        Object own = binding.hasVariable(name) ? binding.getVariable(name) : null
        if (own != null && InvokerHelper.getMetaClass(own).respondsTo(own, 'call', (Object[]) arguments)) {
            return InvokerHelper.getMetaClass(own).invokeMethod(own, 'call', arguments)
        }
        Script step = Engine.current.libraryStep(name, this)
        return step == null ? Steps.INSTANCE.invokeMethod(name, arguments)
            : InvokerHelper.getMetaClass(step).invokeMethod(step, 'call', arguments)
    }

    Object getProperty(String name) {
        try {
            return super.getProperty(name)
        } catch (MissingPropertyException missing) {
            Object found = Engine.current?.global(name, this)
            if (found == null) {
                throw missing
            }
            return found
        }
    }

    Object evaluate(String text) { Engine.current.script('Script1.groovy', text).run() }

    void println() { invokeMethod('echo', [''] as Object[]) }

    void print(Object text) { println(text) }

    void println(Object text) { invokeMethod('echo', [String.valueOf(text)] as Object[]) }

    void printf(String format, Object value) { println(String.format(format, value)) }

    void printf(String format, Object[] values) { println(String.format(format, values)) }

    Object sleep(long seconds) { invokeMethod('sleep', [seconds] as Object[]) }
}
