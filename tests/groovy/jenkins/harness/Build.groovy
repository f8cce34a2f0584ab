package harness

import groovy.json.JsonOutput
import hudson.AbortException
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * One build of a Jenkinsfile. It writes into {@code home}: console.log, steps.jsonl (each step with its arguments,
 * agent and stage), archive/, agents/ (a folder for each agent's workspaces), and result.json at its end.
 */
class Build {
    static final List<String> RESULTS = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']

    final Map spec
    final File home
    final Map<String, Script> library = [:]
    final Map<String, Object> globals
    final Steps steps
    final GroovyClassLoader loader
    String result
    String displayName = '#7'
    String description
    int number = 7

    Build(Map spec) {
        this.spec = spec
        home = new File(spec.home)
        def imports = new ImportCustomizer()
        imports.addStarImports('com.cloudbees.groovy.cps', 'hudson.model', 'jenkins.model',
            'org.jenkinsci.plugins.workflow.libs')
        def configuration = new CompilerConfiguration(scriptBaseClass: PipelineScript.name)
        configuration.addCompilationCustomizers(imports)
        loader = new GroovyClassLoader(getClass().classLoader, configuration)
        steps = new Steps(this)
        globals = [currentBuild: this, params: spec.params, scm: new Scm(), env: new Environment(steps), steps: steps]
    }

    void run() {
        try {
            File jenkinsfile = new File(spec.jenkinsfile)
            for (name in (jenkinsfile.text =~ /@Library\('([^@']+)/).collect { it[1] }) {
                load(name)
            }
            script(jenkinsfile).run()
            setResult('SUCCESS')
        } catch (FlowInterruptedException e) {
            say(e.message)
            setResult('ABORTED')
        } catch (AbortException e) {
            say("ERROR: ${e.message}")
            setResult('FAILURE')
        } catch (Throwable e) {
            def frames = e.stackTrace.findAll { it.fileName =~ /\.groovy$|^Jenkinsfile$/ && it.lineNumber > 0 }
            say("${e}\n${frames.collect { "\tat ${it.fileName}:${it.lineNumber}" }.join('\n')}")
            setResult('FAILURE')
        }
        say("Finished: ${result}")
        new File(home, 'result.json').text = JsonOutput.toJson(
            [result: result, displayName: displayName, description: description])
    }

    /** Makes the steps of a library known. Its scripts are made and not run: what stands at their top stays unset. */
    void load(String name) {
        if (name != spec.library.name) {
            throw new AbortException("No library named ${name} found")
        }
        new File(spec.library.vars).eachFileMatch(~/.*\.groovy/) { library[it.name - '.groovy'] = script(it) }
    }

    private Script script(File file) {
        Script made = (Script) loader.parseClass(file).newInstance()
        made.binding = new Binding(build: this)
        return made
    }

    /** A result only ever gets worse. */
    void setResult(String value) {
        if (result == null || RESULTS.indexOf(value) > RESULTS.indexOf(result)) {
            result = value
        }
    }

    String getCurrentResult() { result ?: 'SUCCESS' }

    void say(String text) {
        new File(home, 'console.log') << "${text}\n"
    }

    /** {@code scm}: the repository that the Jenkinsfile came from. */
    static class Scm {
    }

    /** {@code env}: the environment where the script is now; assignments hold for the whole build. */
    static class Environment {
        private final Steps steps

        Environment(Steps steps) { this.steps = steps }

        def getProperty(String name) { steps.environment()[name] }

        void setProperty(String name, Object value) { steps.base.overrides[name] = value.toString() }
    }
}
