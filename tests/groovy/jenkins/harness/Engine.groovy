package harness

import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.Continuation
import com.cloudbees.groovy.cps.Envs
import com.cloudbees.groovy.cps.Outcome
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation
import com.cloudbees.groovy.cps.sandbox.DefaultInvoker
import com.cloudbees.groovy.cps.sandbox.SandboxInvoker
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * Runs a build's program as Jenkins' controller does: a strand at a time, until a step suspends it; then all is saved
 * and read back. It carries out what the steps ask for, and waits for what happens in the world.
 */
class Engine {
    private static final ThreadLocal<Engine> CURRENT = new ThreadLocal<Engine>()
    private static final List<Class> CATEGORIES = [*Continuable.categories, Iterators]

    final Build build
    final Compiler trusted
    final Compiler untrusted
    Program state = new Program()
    /** The strand that runs just now. */
    Strand running
    /** How the script ended. */
    Outcome outcome
    private byte[] saved
    private boolean restarting

    Engine(Build build) {
        this.build = build
        List<File> sources = [build.spec.library.vars, build.spec.library.src].findAll { it }.collect { new File(it) }
        List<File> own = [new File(getClass().getResource('/declarative').toURI())]
        trusted = new Compiler(getClass().classLoader, false, sandbox ? own : own + sources)
        untrusted = sandbox ? new Compiler(trusted, true, sources) : trusted
    }

    static Engine getCurrent() { CURRENT.get() }

    /**
     * Jenkins runs a library that it got from a folder or the Jenkinsfile in the sandbox, as the Jenkinsfile itself.
     */
    boolean isSandbox() { build.spec.sandbox != null }

    // The program's start, and what it finds by name.

    void start(File jenkinsfile) {
        CURRENT.set(this)
        if (sandbox) {
            new Sandbox(build.spec.sandbox).register()
        }
        for (name in (jenkinsfile.text =~ /@Library\('([^']+)/).collect { it[1] }) {
            Library.load(build, name)
        }
        Script script = script(jenkinsfile.name, jenkinsfile.text)
        add(null, null, new Place(), new Continuable(script, Envs.empty(invoker())))
        save()
    }

    /** Compiles a script; it will be compiled again after a restart. */
    Script script(String name, String text) {
        build.record.scripts << [name, text]
        return (Script) compiled(name, text).newInstance()
    }

    private Class compiled(String name, String text) {
        untrusted.parseClass(new GroovyCodeSource(text, name, '/groovy/shell'), false)
    }

    /** {@code pipeline { }}. */
    Object pipeline(List arguments) {
        trusted.loadClass('Declarative', true, false).newInstance([null] as Object[]).call(arguments[0])
    }

    private invoker() { sandbox ? new SandboxInvoker() : new DefaultInvoker() }

    /** A step of the library. Each script that calls it has its own, as in Jenkins: it lies in the caller's binding. */
    Script libraryStep(String name, Script caller) {
        if (!Library.knows(build, name)) {
            return null
        }
        if (!caller.binding.hasVariable(name)) {
            caller.binding.setVariable(name, untrusted.loadClass(name, true, false).newInstance())
        }
        return (Script) caller.binding.getVariable(name)
    }

    /** What a script's unknown variable is: a library step, something of the build, a variable of the environment. */
    Object global(String name, Script caller) {
        switch (name) {
            case 'env': return Globals.ENVIRONMENT
            case 'currentBuild': return Globals.CURRENT_BUILD
            case 'steps': return Steps.INSTANCE
            case 'params': return build.spec.params.asImmutable()
            case 'scm': return Globals.SCM
        }
        return libraryStep(name, caller) ?: environment[name]
    }

    Map<String, String> getEnvironment() { (running?.place ?: new Place()).environment(build) }

    // The loop.

    /** Runs to the end; returns the engine that saw it, which is another after a restart. */
    Engine run() {
        CURRENT.set(this)
        CpsCallableInvocation.registerMismatchHandler { expected, String wanted, actual, String got ->
            build.say("expected to call ${named(expected)}${wanted} but wound up catching ${named(actual)}${got}; " +
                'see: https://jenkins.io/redirect/pipeline-cps-method-mismatches/')
        }
        while (state.strands) {
            Strand ready = state.strands.values().findAll { it.next != null }.min { it.since }
            if (ready != null) {
                advance(ready)
            } else if (!happen()) {
                throw new IllegalStateException('nothing is left that the build could wait for')
            }
            if (restarting) {
                return new Engine(build.readBack()).resume(saved)
            }
        }
        return this
    }

    private static String named(object) {
        object == null ? '' : (object instanceof Class ? object.name : object.getClass().name) + '.'
    }

    private Engine resume(byte[] bytes) {
        CURRENT.set(this)
        build.record.scripts.each { compiled(it[0], it[1]) }
        state = (Program) Pickle.read(bytes, untrusted)
        build.say("Resuming build at ${new Date()} after Jenkins restart")
        return run()
    }

    private void advance(Strand strand) {
        Outcome given = strand.next
        strand.next = null
        running = strand
        Outcome got
        try {
            got = strand.rest.run0(given, CATEGORIES)
        } finally {
            running = null
        }
        if (strand.rest.resumable) {
            strand.call = (Call) got.normal
            begin(strand.call)
        } else {
            ended(strand, got)
        }
        save()
        for (Map event = build.world.next(0); event != null; event = build.world.next(0)) {
            handle(event)
        }
    }

    private void begin(Call call) {
        attempt(call) { Steps.INSTANCE.perform(call) }
    }

    /** What a step's code returns or throws is the step's outcome, unless it says that it is not done. */
    private void attempt(Call call, Closure work) {
        try {
            def value = work()
            if (!Call.WAITS.is(value)) {
                call.finish(value)
            }
        } catch (Throwable e) {
            call.fail(e)
        }
    }

    private void ended(Strand strand, Outcome outcome) {
        state.strands.remove(strand.id)
        if (strand.owner == null) {
            this.outcome = outcome
        } else {
            Call call = callOf(strand.owner)
            attempt(call) { Steps.INSTANCE.after(call, strand, outcome) }
        }
    }

    private Call callOf(int id) { state.strands.values()*.call.find { it?.id == id } }

    /** Runs another script as the body of a call. */
    void enter(Call call, Script script, Place place) {
        add(call.id, null, place, new Continuable(script, Envs.empty(invoker())))
    }

    /** Runs a body as a strand of its own. A closure that is no CPS code is through at once. */
    void enter(Call call, Closure body, Place place, String branch) {
        Continuable program
        try {
            def value = body.call()
            program = new Continuable(new Done(new Outcome(value, null)))
        } catch (CpsCallableInvocation invocation) {
            program = new Continuable(invocation.invoke(Envs.empty(invoker()), null, Continuation.HALT))
        }
        add(call.id, branch, place, program)
    }

    private void add(Integer owner, String branch, Place place, Continuable program) {
        int id = state.number()
        def strand = new Strand(id, owner, branch, place, program)
        state.strands[id] = strand
        go(strand, new Outcome(null, null))
    }

    private void go(Strand strand, Outcome outcome) {
        strand.next = outcome
        strand.since = state.number()
    }

    /** A call is through: its strand goes on. Who comes too late is not heard. */
    void complete(int call, Outcome outcome) {
        Strand strand = state.strands.values().find { it.call?.id == call }
        if (strand != null) {
            strand.call = null
            go(strand, outcome)
        }
    }

    // What happens in the world.

    /** Waits for an event or a time; returns whether there is any to wait for. */
    private boolean happen() {
        Call next = state.strands.values()*.call.findAll { it?.wakeAt }.min { it.wakeAt }
        if (next == null && !build.world.busy) {
            return false
        }
        long wait = next == null ? 60000 : Math.max(0, next.wakeAt - System.currentTimeMillis())
        Map event = build.world.next(wait)
        if (event != null) {
            handle(event)
        } else if (next != null) {
            next.wakeAt = null
            attempt(next) { Steps.INSTANCE.woken(next) }
            save()
        }
        return true
    }

    private void handle(Map event) {
        switch (event.kind) {
            case 'abort':
                interrupt(null, new FlowInterruptedException('Aborted by somebody'))
                break
            case 'restart':
                restarting = true
                break
            case 'exit':
                Call call = callOf(event.call)
                if (call != null) {
                    attempt(call) { Steps.INSTANCE.happened(call, event) }
                }
        }
        save()
    }

    /** Stops the innermost steps below a call, or of the whole build; there the exception is thrown. */
    void interrupt(Call call, Throwable cause) {
        state.leaves(call).each { Strand leaf ->
            if (leaf.call == null) {
                go(leaf, new Outcome(null, cause))
            } else {
                Steps.INSTANCE.stop(leaf.call, cause)
            }
        }
    }

    // Saving.

    /** Saves the program and goes on with what can be read back. What cannot be saved breaks the last strand. */
    private void save() {
        try {
            saved = Pickle.write(state)
            build.record.saves++
            state = (Program) Pickle.read(saved, untrusted)
        } catch (NotSerializableException | InvalidClassException e) {
            Strand last = state.strands.values().max { it.id }
            if (last == null) {
                throw e
            }
            e.stackTrace = last.rest.stackTrace as StackTraceElement[]
            last.call = null
            go(last, new Outcome(null, e))
        }
    }
}
