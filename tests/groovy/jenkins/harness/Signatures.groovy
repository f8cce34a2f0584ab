package harness

import groovy.transform.CompileStatic
import java.lang.reflect.Constructor
import java.lang.reflect.Method
import java.lang.reflect.Modifier
import org.codehaus.groovy.runtime.DateGroovyMethods
import org.codehaus.groovy.runtime.DefaultGroovyMethods
import org.codehaus.groovy.runtime.DefaultGroovyStaticMethods
import org.codehaus.groovy.runtime.EncodingGroovyMethods
import org.codehaus.groovy.runtime.IOGroovyMethods
import org.codehaus.groovy.runtime.ProcessGroovyMethods
import org.codehaus.groovy.runtime.StringGroovyMethods

/**
 * Which method a call means, written as Jenkins' list of approved signatures has it: {@code method java.util.Map size},
 * {@code staticMethod java.lang.Math max int int}, {@code new java.util.HashMap}. A method is named by the most general
 * type that declares it. Closures are not taken for functional interfaces here, as in Jenkins' sandbox.
 */
@CompileStatic
class Signatures {
    static final List<Class> GROOVY = [DefaultGroovyMethods, StringGroovyMethods, EncodingGroovyMethods,
        DateGroovyMethods, ProcessGroovyMethods, IOGroovyMethods] as List<Class>

    private static final List<Class> PRIMITIVES = [byte, short, int, long, float, double] as List<Class>
    private static final List<Class> BOXES = [Byte, Short, Integer, Long, Float, Double] as List<Class>
    /** Classes of the harness, and those of Jenkins that they stand for. */
    private static final Map<String, String> STAND_INS = [
        'harness.Globals$CurrentBuild': 'org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper',
        'harness.Globals$Environment': 'org.jenkinsci.plugins.workflow.support.actions.EnvironmentAction',
    ]

    /** A Java method of the object, or null. */
    static Method method(Object receiver, String name, Object[] arguments) {
        List<Class> types = general(receiver.getClass())
        return best(types, name, arguments, false) ?: best(types, name, arguments, true)
    }

    /** A method that Groovy adds to the object, or null. */
    static Method added(Object receiver, String name, Object[] arguments) {
        best(GROOVY, name, ([receiver] + arguments.toList()) as Object[], true)
    }

    static Method staticMethod(Class type, String name, Object[] arguments) {
        best([type], name, arguments, true) ?: best([DefaultGroovyStaticMethods] as List<Class>, name,
            ([null] + arguments.toList()) as Object[], true) ?: added(type, name, arguments)
    }

    static Constructor constructor(Class type, Object[] arguments) {
        List<Constructor> fitting = type.declaredConstructors.findAll { Constructor it ->
            fits(it.parameterTypes, arguments)
        } as List<Constructor>
        return fitting ? fitting.min { Constructor it -> distance(it.parameterTypes, arguments) } : null
    }

    static String of(Method method) {
        String kind = Modifier.isStatic(method.modifiers) ? 'staticMethod' : 'method'
        String type = STAND_INS[method.declaringClass.name] ?: method.declaringClass.name
        return "${kind} ${type} ${method.name}${types(method.parameterTypes)}".toString()
    }

    static String of(Constructor made) { "new ${made.declaringClass.name}${types(made.parameterTypes)}".toString() }

    static String types(Class[] parameters) { parameters.collect { Class it -> ' ' + it.canonicalName }.join('') }

    static String typesOf(Object[] arguments) {
        arguments.collect { ' ' + (it == null ? 'null' : it.getClass().name) }.join('')
    }

    /** The type and all that it extends and implements, the most general first. */
    private static List<Class> general(Class type) {
        List<Class> all = []
        for (Class each = type; each != null; each = each.superclass) {
            all.add(0, each)
            List<Class> interfaces = []
            Deque<Class> open = new ArrayDeque<Class>(each.interfaces.toList())
            while (open) {
                Class next = open.pop()
                interfaces.add(0, next)
                open.addAll(next.interfaces.toList())
            }
            all.addAll(0, interfaces)
        }
        return all.unique()
    }

    private static Method best(List<Class> types, String name, Object[] arguments, boolean isStatic) {
        List<Method> fitting = []
        for (Class type : types) {
            for (Method method : type.declaredMethods) {
                if (method.name == name && Modifier.isStatic(method.modifiers) == isStatic && !method.bridge &&
                    Modifier.isPublic(method.modifiers) && fits(method.parameterTypes, arguments)) {
                    fitting << method
                }
            }
        }
        return fitting ? fitting.min { Method it -> distance(it.parameterTypes, arguments) } : null
    }

    private static boolean fits(Class[] parameters, Object[] arguments) {
        if (parameters.length == arguments.length && takes(parameters.toList(), arguments)) {
            return true
        }
        int fixed = parameters.length - 1
        int variable = arguments.length - fixed
        return fixed >= 0 && parameters[fixed].array && variable >= 0 &&
            takes(parameters.take(fixed).toList() + [parameters[fixed].componentType] * variable, arguments)
    }

    private static boolean takes(List<Class> parameters, Object[] arguments) {
        arguments.toList().withIndex().every { Object argument, int i -> takes(parameters[i], argument) }
    }

    private static boolean takes(Class parameter, Object argument) {
        if (argument == null) {
            return !parameter.primitive
        }
        if (parameter == boolean || parameter == char) {
            return argument instanceof Boolean && parameter == boolean || argument instanceof Character
        }
        return parameter.primitive ? argument instanceof Number && widens(argument, parameter)
            : parameter.isInstance(argument) || parameter == String && argument instanceof GString
    }

    private static boolean widens(Object argument, Class primitive) {
        argument instanceof BigDecimal ? primitive in [float, double]
            : width(argument) in 0..PRIMITIVES.indexOf(primitive)
    }

    private static int width(Object argument) { BOXES.indexOf(argument.getClass()) }

    /**
     * How far parameters are from the arguments' own types; the first, which is what the method is called on, weighs
     * most.
     */
    private static int distance(Class[] parameters, Object[] arguments) {
        int sum = parameters.length == arguments.length ? 0 : 100
        for (int i = 0; i < Math.min(parameters.length, arguments.length); i++) {
            sum += (i == 0 ? 1000 : 1) * distance(parameters[i], arguments[i])
        }
        return sum
    }

    private static int distance(Class parameter, Object argument) {
        if (argument == null) {
            return 0
        }
        if (parameter.primitive) {
            return argument instanceof Number ? PRIMITIVES.indexOf(parameter) - width(argument) : 0
        }
        int index = general(argument.getClass()).reverse().indexOf(parameter)
        return index < 0 ? 50 : parameter == Object ? 40 : index
    }
}
