package harness

import groovy.json.JsonOutput
import groovy.json.JsonSlurper
import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * One build of a Jenkinsfile, apart from its program: what Jenkins has on disk of it. It writes into {@code home}:
 * console.log, steps.jsonl (each step with its arguments, agent and stage), archive/, agents/ (a folder for each
 * agent's workspaces), and result.json.
 */
class Build {
    static final List<String> RESULTS = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']

    final Map spec
    final File home
    /** What survives a restart of the controller. */
    final Map record
    final World world

    Build(Map spec, World world, Map record = null) {
        this.spec = spec
        this.world = world
        this.record = record ?: [number: 7, result: null, displayName: '#7', description: null, variables: [:],
            libraries: [], scripts: [], tests: [], answered: 0, saves: 0, started: System.currentTimeMillis()]
        home = new File(spec.home)
    }

    /** The same build, read back from what a controller keeps. */
    Build readBack() { new Build(spec, world, (Map) new JsonSlurper().parseText(JsonOutput.toJson(record))) }

    static void run(Map spec) {
        def world = new World(spec)
        def build = new Build(spec, world)
        def engine = new Engine(build)
        Throwable failure
        try {
            engine.start(new File(spec.jenkinsfile))
            engine = engine.run()
            failure = engine.outcome.abnormal
        } catch (Throwable e) {
            failure = e
        } finally {
            world.close()
        }
        build = engine.build
        build.end(failure)
    }

    private void end(Throwable failure) {
        if (failure instanceof FlowInterruptedException) {
            say(failure.message)
        } else if (failure instanceof AbortException) {
            say("ERROR: ${failure.message}")
        } else if (failure != null) {
            say(traced(failure))
        }
        setResult(failure == null ? 'SUCCESS'
            : failure instanceof FlowInterruptedException ? failure.result : 'FAILURE')
        say("Finished: ${record.result}")
        new File(home, 'result.json').text = JsonOutput.toJson(record.subMap(
            ['result', 'displayName', 'description', 'tests', 'saves']))
    }

    private static String traced(Throwable failure) {
        def frames = failure.stackTrace.findAll {
            it.fileName =~ /\.groovy$|^Jenkinsfile$/ && it.lineNumber > 0 && !it.className.startsWith('harness.')
        }
        return ([failure.toString()] + frames.collect { "\tat ${it.fileName}:${it.lineNumber}" }).join('\n')
    }

    /** The variables of every build; an agent may have others of these names. */
    Map<String, String> getDefaults() {
        [BUILD_NUMBER: "${record.number}", BUILD_ID: "${record.number}", BUILD_TAG: "jenkins-job-${record.number}",
            BUILD_URL: "http://jenkins.example/job/job/${record.number}/", JENKINS_URL: 'http://jenkins.example/',
            JOB_NAME: 'job', JOB_BASE_NAME: 'job'].collectEntries { name, value -> [(name): value.toString()] }
    }

    /** The build's own variables: its parameters, and what {@code env.X = } set. */
    Map<String, String> getVariables() {
        spec.params.collectEntries { name, value -> [(name): value.toString()] } + record.variables
    }

    /** A result only ever gets worse. */
    void setResult(String value) {
        if (record.result == null || RESULTS.indexOf(value) > RESULTS.indexOf(record.result)) {
            record.result = value
        }
    }

    void say(String text) { world.say(text) }

    void note(Map step) { new File(home, 'steps.jsonl') << JsonOutput.toJson(printable(step)) + '\n' }

    private static printable(value) {
        value instanceof Map ? value.collectEntries { k, v -> [(k.toString()): printable(v)] }
            : value instanceof List ? value.collect { printable(it) }
            : value == null || value instanceof Number || value instanceof Boolean ? value : value.toString()
    }
}
