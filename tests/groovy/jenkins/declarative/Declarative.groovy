import harness.Collector
import harness.Conditions
import harness.Globals
import harness.Steps
import harness.Variables

/**
 * As much of Declarative Pipeline as a Jenkinsfile around the library's steps needs; what it does not know, fails. It
 * is CPS code itself, as Jenkins' own is. One object for the pipeline, and one for each stage.
 */
class Declarative implements Serializable {
    private static final List CONDITIONS = ['always', 'changed', 'fixed', 'regression', 'aborted', 'failure', 'success',
        'unstable', 'unsuccessful', 'cleanup']
    private static final List WRAPPERS = ['lock', 'retry', 'throttle', 'timeout', 'timestamps']
    private static final List OPTIONS = WRAPPERS + ['buildDiscarder', 'disableConcurrentBuilds', 'disableResume',
        'parallelsAlwaysFailFast', 'preserveStashes', 'quietPeriod', 'skipDefaultCheckout', 'skipStagesAfterUnstable']
    private static final List PARAMETERS = ['booleanParam', 'choice', 'password', 'string', 'text']
    private static final List TRIGGERS = ['cron', 'gerrit', 'pollSCM', 'upstream']

    private final Steps play = Steps.INSTANCE
    private final boolean nested
    private final Declarative outer
    private String label
    private boolean checkout = true
    private boolean fast
    private final List wrappers = []
    private Closure variables
    private Closure condition
    private Closure work
    private Map asked
    private final Map stages = [:]
    private Map branches = [:]
    private final Map endings = [:]
    final String any = 'built-in'
    final String none = ''

    Declarative(Declarative outer) {
        this.outer = outer
        this.nested = outer != null
    }

    def call(Closure body) {
        read(body, this)
        if (!nested && label == null) {
            play.error('Missing required section "agent"')
        }
        return wrapped(wrappers) {
            onAgent {
                inEnvironment {
                    if (condition == null || holds()) {
                        all()
                    }
                }
            }
        }
    }

    private wrapped(List left, Closure body) {
        if (!left) {
            return body()
        }
        String name = left.first()[0]
        List given = left.first()[1]
        Closure inner = { wrapped(left.tail(), body) }
        return given ? play."${name}"(given[0], inner) : play."${name}"(inner)
    }

    private onAgent(Closure body) {
        if (!label) {
            return body()
        }
        return play.node(label) {
            if (checkout && (outer == null || outer.checkout)) {
                play.checkout(Globals.SCM)
            }
            body()
        }
    }

    private inEnvironment(Closure body) {
        if (variables == null) {
            return body()
        }
        Variables set = new Variables()
        read(variables, set)
        return play.withEnv(set.pairs()) { body() }
    }

    private boolean holds() {
        Conditions said = new Conditions()
        read(condition, said)
        for (one in said.all) {
            if (!(one instanceof Closure ? one() : one)) {
                return false
            }
        }
        return true
    }

    private all() {
        String before = Globals.CURRENT_BUILD.currentResult
        boolean failed = true
        try {
            if (asked) {
                play.input(asked)
            }
            for (String name in stages.keySet()) {
                stageOf(name, stages[name])
            }
            if (branches) {
                Map parts = branches.collectEntries { name, closure -> [(name): { stageOf(name, closure) }] }
                play.parallel(parts + [failFast: fast])
            }
            if (work) {
                work()
            }
            failed = false
        } catch (Throwable e) {
            Globals.CURRENT_BUILD.failedBy(e)
            throw e
        } finally {
            for (String name in CONDITIONS) {
                if (endings.containsKey(name) && applies(name, before, failed)) {
                    endings[name].call()
                }
            }
        }
    }

    private stageOf(String name, Closure closure) {
        Declarative inner = new Declarative(this)
        return play.stage(name) { inner.call(closure) }
    }

    private boolean applies(String name, String before, boolean failed) {
        String now = Globals.CURRENT_BUILD.currentResult
        boolean mine = failed || now != before
        switch (name) {
            case 'always': case 'cleanup': return true
            case 'success': return !mine && now == 'SUCCESS'
            case 'unsuccessful': return mine
            case 'aborted': case 'failure': case 'unstable': return mine && now == name.toUpperCase()
            default: return false
        }
    }

    private void read(Closure body, Object sections) {
        body.delegate = sections
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }

    private List collected(Closure body, List names) {
        Collector found = new Collector(names)
        read(body, found)
        return found.calls
    }

    // The sections, as the pipeline's text calls them.

    void agent(String name) { label = name }

    void agent(Closure body) {
        List call = collected(body, ['label', 'node']).first()
        if (call[0] == 'node') {
            call = collected(call[1][0], ['label', 'customWorkspace']).find { it[0] == 'label' }
        }
        label = call[1][0]
    }

    void options(Closure body) {
        for (List call in collected(body, OPTIONS)) {
            if (call[0] == 'skipDefaultCheckout') {
                checkout = call[1] == [false]
            } else if (call[0] in WRAPPERS) {
                wrappers << call
            }
        }
    }

    void parameters(Closure body) { collected(body, PARAMETERS) }

    void triggers(Closure body) { collected(body, TRIGGERS) }

    void environment(Closure body) { variables = body }

    void when(Closure body) { condition = body }

    void input(Closure body) { asked = collected(body, Conditions.INPUT).collectEntries { [(it[0]): it[1][0]] } }

    void stages(Closure body) { read(body, this) }

    void parallel(Closure body) {
        Declarative inner = new Declarative(this)
        inner.read(body, inner)
        branches = inner.stages
    }

    void failFast(boolean value) { fast = value }

    void stage(String name, Closure body) { stages[name] = body }

    void steps(Closure body) {
        work = body
        work.delegate = body.thisObject
        work.resolveStrategy = Closure.DELEGATE_FIRST
    }

    void post(Closure body) {
        for (List call in collected(body, CONDITIONS)) {
            Closure ending = call[1][0]
            ending.delegate = body.thisObject
            ending.resolveStrategy = Closure.DELEGATE_FIRST
            endings[call[0]] = ending
        }
    }
}
