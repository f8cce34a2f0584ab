package harness

import groovy.transform.CompileStatic
import java.lang.reflect.Constructor
import java.lang.reflect.Field
import java.lang.reflect.Method
import java.lang.reflect.Modifier
import org.codehaus.groovy.runtime.GStringImpl
import org.codehaus.groovy.runtime.InvokerHelper
import org.codehaus.groovy.runtime.ScriptBytecodeAdapter
import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException
import org.kohsuke.groovy.sandbox.GroovyInterceptor
import org.kohsuke.groovy.sandbox.impl.Checker

/**
 * The sandbox, as far as it was recorded: data/sandbox_refused.txt holds what a real Jenkins refused,
 * data/sandbox_calls.txt what it let pass. A call in neither passes and is noted in the build's log; such a build fails
 * its test.
 */
@CompileStatic
class Sandbox extends GroovyInterceptor {
    static final String UNKNOWN = 'sandbox: not known whether Jenkins permits: '

    private static final String INVOKE =
        'method groovy.lang.GroovyObject invokeMethod java.lang.String java.lang.Object'
    private static final String GET = 'method groovy.lang.GroovyObject getProperty java.lang.String'
    /** How the engine and the sandbox do what an operator does. */
    private static final List<Class> OPERATORS = [ScriptBytecodeAdapter, Checker] as List<Class>

    private final Set<String> permitted
    private final Set<String> refused
    private final Set<String> noted = new LinkedHashSet<String>()

    Sandbox(Map<String, String> data) {
        permitted = lines(data.permitted)
        refused = lines(data.refused)
    }

    private static Set<String> lines(String file) {
        new File(file).readLines('UTF-8').findAll { String it -> it && !it.startsWith('#') } as Set<String>
    }

    private void check(String signature, String details = '') {
        if (signature in refused) {
            throw new RejectedAccessException("Scripts not permitted to use ${signature}${details}")
        }
        if (!(signature in permitted) && noted.add(signature)) {
            Engine.current.build.say(UNKNOWN + signature)
        }
    }

    /** What a script defines itself, and what stands for a script, may be used. */
    private static boolean own(Class type) {
        type.classLoader instanceof Compiler || PipelineScript.isAssignableFrom(type)
    }

    private static boolean ofThePipeline(Object receiver) {
        receiver instanceof PipelineScript || receiver instanceof Closure || ours(receiver)
    }

    /** What the harness puts in the place of Jenkins' steps and of Declarative. */
    private static boolean ours(Object receiver) {
        receiver instanceof Steps || receiver instanceof Collector || receiver instanceof Variables ||
            receiver instanceof Conditions || receiver.getClass().name == 'Declarative'
    }

    Object onMethodCall(Invoker invoker, Object receiver, String name, Object... arguments) {
        boolean arithmetic = receiver instanceof Number && arguments.every { Object it -> it instanceof Number }
        boolean dispatch = name == 'invokeMethod' && (ofThePipeline(receiver) || !(receiver instanceof GroovyObject)) ||
            name in ['getProperty', 'setProperty'] && receiver instanceof Globals.Environment
        if (!ours(receiver) && !arithmetic && !dispatch) {
            checkMethod(receiver, name, arguments)
        }
        return invoker.call(receiver, name, arguments)
    }

    private void checkMethod(Object receiver, String name, Object[] arguments) {
        Method method = Signatures.method(receiver, name, arguments) ?: Signatures.added(receiver, name, arguments)
        if (method != null) {
            if (!own(method.declaringClass)) {
                check(Signatures.of(method))
            }
        } else if (receiver instanceof GroovyObject) {
            if (!ofThePipeline(receiver)) {
                check(INVOKE, " (${receiver.getClass().name} ${name}${Signatures.typesOf(arguments)})")
            }
        } else if (!(receiver instanceof Map && receiver[name] instanceof Closure)) {
            throw new MissingMethodException(name, receiver.getClass(), arguments)
        }
    }

    Object onStaticCall(Invoker invoker, Class receiver, String name, Object... arguments) {
        Method method = Signatures.staticMethod(receiver, name, arguments)
        if (method != null && !own(method.declaringClass) && !(receiver in OPERATORS)) {
            check(Signatures.of(method))
        }
        return invoker.call(receiver, name, arguments)
    }

    Object onNewInstance(Invoker invoker, Class receiver, Object... arguments) {
        Constructor made = Signatures.constructor(receiver, arguments)
        if (made != null && !own(receiver) && !(receiver in [GStringImpl, Enum])) {
            check(Signatures.of(made))
        }
        return invoker.call(receiver, null, arguments)
    }

    Object onGetProperty(Invoker invoker, Object receiver, String name) {
        checkProperty(receiver, name)
        try {
            return invoker.call(receiver, name)
        } catch (MissingPropertyException missing) {
            throw receiver instanceof PipelineScript ? new MissingPropertyException(name, Binding) : missing
        }
    }

    private void checkProperty(Object receiver, String name) {
        if (receiver instanceof Class) {
            Field field = ((Class) receiver).fields.find { Field it ->
                it.name == name && Modifier.isStatic(it.modifiers)
            }
            if (own((Class) receiver) && ((Class) receiver).declaredFields.any { Field it -> it.name == name }) {
                return
            }
            if (field != null) {
                check("staticField ${field.declaringClass.name} ${name}".toString())
                return
            }
        }
        if (receiver instanceof Map || ofThePipeline(receiver) || receiver.getClass().array) {
            return
        }
        if (own(receiver.getClass())) {
            if (!InvokerHelper.getMetaClass(receiver).hasProperty(receiver, name)) {
                check(GET, " (${receiver.getClass().name}.${name})")
            }
            return
        }
        String capital = name.capitalize()
        Method getter = Signatures.method(receiver, "get${capital}", new Object[0]) ?:
            Signatures.method(receiver, "is${capital}", new Object[0]) ?:
            Signatures.added(receiver, "get${capital}", new Object[0])
        if (getter != null) {
            check(Signatures.of(getter))
        } else if (receiver instanceof Collection) {
            // The property of each element.
            ((Collection) receiver).each { Object it -> it != null && checkProperty(it, name) }
        } else if (!(receiver instanceof Globals.Environment)) {
            throw new MissingPropertyException("No such field found: field ${receiver.getClass().name} ${name}")
        }
    }

    Object onSetProperty(Invoker invoker, Object receiver, String name, Object value) {
        if (!(receiver instanceof Map) && !ofThePipeline(receiver) && !own(receiver.getClass()) &&
            !(receiver instanceof Globals.Environment)) {
            Method setter = Signatures.method(receiver, "set${name.capitalize()}", [value] as Object[])
            if (setter != null) {
                check(Signatures.of(setter))
            }
        }
        return invoker.call(receiver, name, value)
    }

    Object onGetArray(Invoker invoker, Object receiver, Object index) {
        Method added = receiver.getClass().array ? null : Signatures.added(receiver, 'getAt', [index] as Object[])
        if (added != null) {
            check(Signatures.of(added))
        }
        return invoker.call(receiver, null, index)
    }

    Object onSetArray(Invoker invoker, Object receiver, Object index, Object value) {
        Object[] arguments = [index, value]
        Method added = receiver.getClass().array ? null : Signatures.added(receiver, 'putAt', arguments)
        if (added != null) {
            check(Signatures.of(added))
        }
        return invoker.call(receiver, null, index, value)
    }
}
