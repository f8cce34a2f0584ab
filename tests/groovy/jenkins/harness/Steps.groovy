package harness

import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.Outcome

/**
 * {@code steps}: takes the calls of a program. A step that does not end at once suspends the program; the engine then
 * has it performed. What a step does is a method of its name in a class like BlockSteps, given its Call; {@code
 * after_NAME} is told of a body's end, {@code woken_NAME} that its time has come, {@code happened_NAME} of an event,
 * {@code stop_NAME} of an abort.
 */
class Steps implements Serializable {
    static final Steps INSTANCE = new Steps()
    /** Methods by their names, and the object that has them. */
    private static final Map<String, Object> HANDLERS = [
        new BlockSteps(), new BuildSteps(), new FileSteps(), new ShellSteps(), new SourceSteps(),
    ].collectEntries { group ->
        group.class.declaredMethods.findAll { !it.synthetic }.collectEntries { [(it.name): group] }
    }

    private Object readResolve() { INSTANCE }

    Object invokeMethod(String name, Object given) {
        Engine engine = Engine.current
        List arguments = given instanceof Object[] ? given as List : [given]
        if (name == DeclarativeSyntax.CHECKED) {
            return engine.pipeline(arguments)
        }
        if (!(name in Catalogue.known(engine.build.spec.plugins))) {
            return other(engine, name, arguments)
        }
        Call call = parsed(engine, name, arguments)
        call.note()
        if (name in Catalogue.AT_ONCE) {
            return perform(call)
        }
        return Continuable.suspend(name, call)
    }

    private static Object other(Engine engine, String name, List arguments) {
        if (name in Catalogue.SYMBOLS) {
            return [$class: name] + (arguments && arguments[0] instanceof Map ? arguments[0]
                : [arguments: arguments.collect { it instanceof CharSequence ? it.toString() : it }])
        }
        List globals = ['currentBuild', 'env', 'params', 'pipeline', 'scm', 'steps']
        throw new NoSuchMethodError("No such DSL method '${name}' found among steps " +
            "${Catalogue.known(engine.build.spec.plugins)} or symbols ${Catalogue.SYMBOLS} or globals ${globals}")
    }

    private static Call parsed(Engine engine, String name, List given) {
        Closure body = given && given.last() instanceof Closure ? given.last() : null
        List plain = body ? given.init() : given
        List parameters = Catalogue.PARAMETERS[name]
        if (plain.size() > 1) {
            throw new IllegalArgumentException("Expected named arguments but got ${plain}")
        }
        boolean named = plain && plain[0] instanceof Map && !plain[0].containsKey('$class')
        Map arguments = !plain ? [:] : named ? plain[0] : [(parameters ? parameters[0] : ''): plain[0]]
        def unknown = parameters == null ? [] : arguments.keySet()*.toString() - parameters
        if (unknown) {
            throw new IllegalArgumentException("Unknown parameter(s) found for step ${name}: ${unknown.join(', ')}")
        }
        if (body == null && name in Catalogue.BLOCKS) {
            throw new IllegalStateException("${name} step must be called with a body")
        }
        if (name == 'sh' && engine.build.spec.houseRules && arguments.script instanceof GString) {
            throw new IllegalArgumentException("sh got an interpolated text: ${arguments.script}")
        }
        Map settled = arguments.collectEntries { key, value -> [(key.toString()): settled(value)] }
        Catalogue.TEXTS[name].each { parameter, type ->
            def value = settled[parameter]
            if (value != null && !(value instanceof String)) {
                throw new ClassCastException("org.jenkinsci.plugins.workflow.steps.${type}.${parameter} expects " +
                    "class java.lang.String but received ${value.getClass()}")
            }
        }
        return new Call(engine.state.number(), name, settled, body, engine.running.place)
    }

    private static settled(value) {
        value instanceof GString ? value.toString() : value instanceof List ? value.collect { settled(it) }
            : value instanceof Map ? value.collectEntries { k, v -> [(settled(k)): settled(v)] } : value
    }

    // What the engine asks of a step.

    private static Object told(String method, List arguments, Closure otherwise) {
        Object group = HANDLERS[method]
        return group == null ? otherwise() : group."${method}"(*arguments)
    }

    Object perform(Call call) { HANDLERS[call.name]."${call.name}"(call) }

    /** A body has ended. */
    Object after(Call call, Strand body, Outcome outcome) {
        told("after_${call.name}", [call, body, outcome]) { outcome.replay() }
    }

    Object woken(Call call) { told("woken_${call.name}", [call]) { null } }

    Object happened(Call call, Map event) { told("happened_${call.name}", [call, event]) { null } }

    void stop(Call call, Throwable cause) { told("stop_${call.name}", [call, cause]) { call.fail(cause) } }
}
