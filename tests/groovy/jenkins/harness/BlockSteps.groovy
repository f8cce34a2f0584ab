package harness

import com.cloudbees.groovy.cps.Outcome
import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** Steps that run a body: somewhere, with something, for some time, again. */
class BlockSteps {
    static final Map<String, BigDecimal> SECONDS = [NANOSECONDS: 1e-9, MICROSECONDS: 1e-6, MILLISECONDS: 0.001,
        SECONDS: 1.0, MINUTES: 60.0, HOURS: 3600.0, DAYS: 86400.0]
    /** The bindings of withCredentials, and the kind of credentials that each takes. */
    static final Map<String, String> KINDS = [AmazonWebServicesCredentialsBinding: 'aws', string: 'string',
        usernamePassword: 'usernamePassword']

    // Somewhere, with something.

    def node(Call call) {
        String label = call.arguments.label ?: 'built-in'
        if (!call.build.spec.agents.containsKey(label)) {
            call.build.say("Still waiting to schedule task\nThere are no nodes with the label ‘${label}’")
            return Call.WAITS
        }
        Set leased = call.engine.state.leased
        File root = new File(call.build.home, "agents/${label}/workspace")
        File workspace = (1..9).collect { new File(root, it > 1 ? "job@${it}" : 'job') }.find { !(it in leased) }
        leased << workspace
        workspace.mkdirs()
        call.state.workspace = workspace
        return call.enter(agent: label, workspace: workspace, folder: workspace)
    }

    def after_node(Call call, Strand body, Outcome outcome) {
        call.engine.state.leased.remove(call.state.workspace)
        return outcome.replay()
    }

    def dir(Call call) { call.enter(folder: call.file(call.arguments.path)) }

    def stage(Call call) {
        call.build.say("[Pipeline] { (${call.arguments.name})")
        return call.body == null ? null : call.enter(stage: call.arguments.name)
    }

    def withEnv(Call call) {
        call.enter(call.place.over(call.arguments.overrides.collectEntries { it.split('=', 2) as List }, true))
    }

    def withCredentials(Call call) {
        Map secrets = [:]
        call.arguments.bindings.each { secrets.putAll(bound(call.build, it)) }
        return call.enter(call.place.over(secrets, false))
    }

    /** The variables of one binding. */
    private static Map bound(Build build, Map binding) {
        String kind = KINDS[binding.$class]
        if (kind == null || kind == 'aws' && !('aws-credentials' in build.spec.plugins)) {
            throw new UnsupportedOperationException('no known implementation of interface ' +
                "org.jenkinsci.plugins.credentialsbinding.MultiBinding is named ${binding.$class}")
        }
        Map found = build.spec.credentials[binding.credentialsId]
        if (found == null) {
            throw new AbortException("Could not find credentials entry with ID '${binding.credentialsId}'")
        }
        if (found.kind != kind) {
            throw new AbortException("Credentials '${binding.credentialsId}' is of type '${found.kind}' where " +
                "'${kind}' was expected")
        }
        if (kind == 'string') {
            return [(binding.variable): found.secret]
        }
        if (kind == 'usernamePassword') {
            return [(binding.usernameVariable): found.name, (binding.passwordVariable): found.secret]
        }
        return [(binding.accessKeyVariable ?: 'AWS_ACCESS_KEY_ID'): found.name,
            (binding.secretKeyVariable ?: 'AWS_SECRET_ACCESS_KEY'): found.secret] +
            (binding.roleArn ? [AWS_SESSION_TOKEN: binding.roleArn] : [:])
    }

    def lock(Call call) {
        String name = call.arguments.resource ?: call.arguments.label
        Map locks = call.engine.state.locks
        if (locks.containsKey(name)) {
            call.build.say("[Resource: ${name}] is not free, waiting for execution ...")
            return Call.WAITS
        }
        locks[name] = call.id
        call.build.say("Lock acquired on [Resource: ${name}]")
        return call.enter(call.place.over(call.arguments.variable ? [(call.arguments.variable): name] : [:], false))
    }

    def after_lock(Call call, Strand body, Outcome outcome) {
        Map locks = call.engine.state.locks
        String name = locks.find { it.value == call.id }.key
        locks.remove(name)
        call.build.say("Lock released on resource [Resource: ${name}]")
        Call next = call.engine.state.strands.values()*.call.find {
            it?.name == 'lock' && it.id != call.id && name in [it.arguments.resource, it.arguments.label] &&
                !call.engine.state.bodiesOf(it)
        }
        if (next) {
            lock(next)
        }
        return outcome.replay()
    }

    def throttle(Call call) { call.enter() }

    /** Not in the place where it is Declarative: just a body. */
    def pipeline(Call call) { call.enter() }

    def script(Call call) { call.enter() }

    def timestamps(Call call) { call.enter() }

    // For some time, again.

    def timeout(Call call) {
        call.pause(call.arguments.time * SECONDS[call.arguments.unit ?: 'MINUTES'])
        return call.enter()
    }

    def woken_timeout(Call call) {
        call.build.say('Cancelling nested steps due to timeout')
        call.engine.interrupt(call, new FlowInterruptedException('Timeout has been exceeded'))
        return Call.WAITS
    }

    def retry(Call call) {
        call.state.left = call.arguments.count
        return call.enter()
    }

    def after_retry(Call call, Strand body, Outcome outcome) {
        Throwable failure = outcome.abnormal
        if (failure == null || failure instanceof FlowInterruptedException || --call.state.left <= 0) {
            return outcome.replay()
        }
        call.build.say(failure instanceof AbortException ? "ERROR: ${failure.message}" : failure.toString())
        call.build.say('Retrying')
        return call.enter()
    }

    def waitUntil(Call call) { call.enter() }

    def after_waitUntil(Call call, Strand body, Outcome outcome) {
        def value = outcome.replay()
        if (!(value instanceof Boolean)) {
            throw new ClassCastException("body return value ${value} is not boolean")
        }
        if (value) {
            return null
        }
        call.state.pause = Math.min((call.state.pause ?: 0.25) * 1.2, 15.0)
        return call.pause(call.state.pause)
    }

    def woken_waitUntil(Call call) { call.enter() }

    // Whatever comes.

    def catchError(Call call) { call.enter() }

    def after_catchError(Call call, Strand body, Outcome outcome) {
        Throwable failure = outcome.abnormal
        boolean interrupted = failure instanceof FlowInterruptedException
        if (interrupted && call.arguments.catchInterruptions == false) {
            throw failure
        }
        if (failure != null) {
            if (call.arguments.message) {
                call.build.say("ERROR: ${call.arguments.message}")
            }
            call.build.say(failure instanceof AbortException ? "ERROR: ${failure.message}" : failure.toString())
            call.build.setResult(interrupted ? failure.result : call.arguments.buildResult ?: 'FAILURE')
        }
        return null
    }

    def warnError(Call call) {
        call.arguments.buildResult = 'UNSTABLE'
        return call.enter()
    }

    def after_warnError(Call call, Strand body, Outcome outcome) { after_catchError(call, body, outcome) }

    def parallel(Call call) {
        boolean failFast = call.arguments.remove('failFast')
        call.state.putAll(failFast: failFast, left: call.arguments.size(), values: [:], failures: [])
        call.arguments.each { name, branch ->
            if (!(branch instanceof Closure)) {
                throw new IllegalArgumentException("Expected a closure for branch ${name} but found ${branch}")
            }
        }
        call.arguments.each { name, branch -> call.enter([:], branch, name) }
        return call.arguments ? Call.WAITS : [:]
    }

    def after_parallel(Call call, Strand body, Outcome outcome) {
        call.state.left--
        if (outcome.success) {
            call.state.values[body.branch] = outcome.normal
        } else {
            call.build.say("Failed in branch ${body.branch}")
            call.state.failures << outcome.abnormal
            if (call.state.failFast && call.state.failures.size() == 1) {
                call.engine.interrupt(call, new FlowInterruptedException("Failed in branch ${body.branch}", 'FAILURE'))
            }
        }
        if (call.state.left) {
            return Call.WAITS
        }
        if (call.state.failures) {
            throw call.state.failures[0]
        }
        return call.state.values
    }
}
