package harness

import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** Steps about the build itself, and those that wait for somebody or something. */
class BuildSteps {
    def echo(Call call) {
        call.build.say(call.arguments.message)
        return null
    }

    def error(Call call) { throw new AbortException(call.arguments.message) }

    def unstable(Call call) {
        call.build.say("WARNING: ${call.arguments.message}")
        call.build.setResult('UNSTABLE')
        return null
    }

    def isUnix(Call call) {
        call.file()
        return true
    }

    def milestone(Call call) { null }

    def properties(Call call) { null }

    def setGerritReview(Call call) { null }

    def build(Call call) { throw new AbortException("No item named ${call.arguments.job} found") }

    def sleep(Call call) { call.pause(call.arguments.time * BlockSteps.SECONDS[call.arguments.unit ?: 'SECONDS']) }

    def input(Call call) {
        call.build.say(call.arguments.message)
        Map answer = call.build.spec.answers[call.build.record.answered]
        return answer == null ? Call.WAITS : call.pause(0.0)
    }

    /** Somebody answers. */
    def woken_input(Call call) {
        Map a = call.arguments
        Map answer = call.build.spec.answers[call.build.record.answered++]
        List allowed = (a.submitter ?: answer.submitter).tokenize(', ')
        if (!(answer.submitter in allowed)) {
            throw new IllegalStateException("${answer.submitter} may not answer: ${allowed}")
        }
        if (answer.aborts) {
            throw new FlowInterruptedException("Rejected by ${answer.submitter}")
        }
        call.build.say("Approved by ${answer.submitter}")
        Map values = (a.parameters ?: []).collectEntries { [(it.name): given(it, answer.values)] }
        if (a.submitterParameter) {
            values[a.submitterParameter] = answer.submitter
        }
        return values.size() > 1 ? values : values ? values.values()[0] : null
    }

    private static Object given(Map parameter, Map values) {
        def choices = parameter.choices instanceof List ? parameter.choices : parameter.choices?.readLines()
        return values.containsKey(parameter.name) ? values[parameter.name]
            : parameter.defaultValue != null ? parameter.defaultValue : choices ? choices[0] : ''
    }
}
