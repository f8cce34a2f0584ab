package harness

import groovy.io.FileType
import groovy.json.JsonOutput
import hudson.AbortException
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

import static java.nio.file.StandardCopyOption.COPY_ATTRIBUTES
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING

/** The pipeline steps, as Jenkins has them: unknown steps and parameters are refused, sh runs, files are files. */
class Steps {
    /** Each step and its parameters; the first is the one that needs no name. */
    static final Map<String, List<String>> PARAMETERS = [
        archiveArtifacts: ['artifacts', 'excludes', 'allowEmptyArchive', 'fingerprint'],
        catchError      : ['message', 'buildResult', 'stageResult', 'catchInterruptions'],
        checkout        : ['scm'],
        deleteDir       : [],
        dir             : ['path'],
        echo            : ['message'],
        error           : ['message'],
        fileExists      : ['file'],
        library         : ['identifier', 'retriever'],
        node            : ['label'],
        parallel        : null,
        pipeline        : [],
        readFile        : ['file', 'encoding'],
        script          : [],
        sh              : ['script', 'label', 'returnStatus', 'returnStdout', 'encoding'],
        stage           : ['name'],
        stash           : ['name', 'includes', 'excludes', 'allowEmpty'],
        timeout         : ['time', 'unit'],
        timestamps      : [],
        unstable        : ['message'],
        unstash         : ['name'],
        withCredentials : ['bindings'],
        withEnv         : ['overrides'],
        writeFile       : ['file', 'text'],
    ]
    /** Things that are made, not done: arguments of steps. */
    static final List<String> SYMBOLS = ['legacySCM', 'logRotator', 'usernamePassword']

    private final Build build
    private final Map spec
    private final Deque<Map> frames = new ArrayDeque<Map>([[overrides: [:]]])
    private final Set<File> busy = new HashSet<File>()
    private volatile FlowInterruptedException interruption
    private volatile Process running

    Steps(Build build) {
        this.build = build
        spec = build.spec
    }

    def methodMissing(String name, Object arguments) { invoke(name, arguments as List) }

    def invoke(String name, List given) {
        if (name in SYMBOLS) {
            return [$class: name] + (given[0] instanceof Map ? given[0] : [arguments: given.collect { it.toString() }])
        }
        if (!PARAMETERS.containsKey(name)) {
            throw new NoSuchMethodError("No such DSL method '${name}' found among steps ${PARAMETERS.keySet()}")
        }
        Closure body = given && given.last() instanceof Closure ? given.last() : null
        List plain = body ? given.init() : given
        boolean named = plain && plain[0] instanceof Map && !plain[0].containsKey('$class')
        Map arguments = !plain ? [:] : named ? plain[0] : [(PARAMETERS[name][0]): plain[0]]
        def unknown = PARAMETERS[name] == null ? [] : arguments.keySet() - PARAMETERS[name]
        if (unknown || plain.size() > 1) {
            throw new IllegalArgumentException("Unknown parameter(s) found for step ${name}: ${unknown ?: plain}")
        }
        if (name == 'sh' && !(arguments.script instanceof String)) {
            throw new IllegalArgumentException("sh got an interpolated text: ${arguments.script}")
        }
        Map known = arguments.collectEntries { key, value -> [(key): settled(value)] }
        new File(build.home, 'steps.jsonl') << JsonOutput.toJson(
            [step: name, arguments: printable(known), agent: here.agent, stage: here.stage]) + '\n'
        if (interruption) {
            throw taken()
        }
        return "do_${name}"(known, body)
    }

    private static settled(value) {
        value instanceof GString ? value.toString() : value instanceof List ? value.collect { settled(it) }
            : value instanceof Map ? value.collectEntries { k, v -> [(k): settled(v)] } : value
    }

    private static printable(value) {
        value instanceof Map ? value.collectEntries { k, v -> [(k): printable(v)] }
            : value instanceof List ? value.collect { printable(it) }
            : value == null || value instanceof Number || value instanceof Boolean ? value : value.toString()
    }

    // Where the script is: agent, workspace, folder, stage, environment.

    private Map getHere() { frames.last }

    Map getBase() { frames.first }

    private within(Map changes, Closure body) {
        frames.addLast(here + changes)
        try {
            return body.call()
        } finally {
            frames.removeLast()
        }
    }

    Map environment() {
        Map all = (here.agent == null ? [:] : spec.agents[here.agent] + [WORKSPACE: here.workspace.path,
            NODE_NAME: here.agent]) + spec.params.collectEntries { name, value -> [(name): value.toString()] } +
            [BUILD_NUMBER: "${build.number}".toString()] + base.overrides + here.overrides
        return all.findAll { it.value != '' }
    }

    private File file(String path = '.') {
        if (here.folder == null) {
            throw new AbortException('Required context class hudson.FilePath is missing')
        }
        return path == '.' ? here.folder : new File(here.folder, path)
    }

    private FlowInterruptedException taken() {
        def taken = interruption
        interruption = null
        return taken
    }

    /** Aborts what runs, as a person or a timer would; the step throws when its process has ended. */
    private void interrupt(String cause) {
        interruption = new FlowInterruptedException(cause)
        if (running) {
            command('kill', '-TERM', '--', "-${running.pid()}")
        }
    }

    private static void command(Object... words) {
        def process = words*.toString().execute()
        if (process.waitFor() != 0) {
            throw new IOException("${words}: ${process.err.text}")
        }
    }

    // The steps.

    private do_node(Map a, Closure body) {
        String label = a.label ?: 'any'
        if (!spec.agents.containsKey(label)) {
            throw new AbortException("There are no nodes with the label '${label}'")
        }
        File workspace = (1..9).collect {
            new File(build.home, "agents/${label}/workspace/job${it > 1 ? "@${it}" : ''}")
        }.find { !(it in busy) }
        busy << workspace
        workspace.mkdirs()
        try {
            return within(agent: label, workspace: workspace, folder: workspace, body)
        } finally {
            busy.remove(workspace)
        }
    }

    private do_stage(Map a, Closure body) {
        build.say("[Pipeline] { (${a.name})")
        return within(stage: a.name, body)
    }

    private do_dir(Map a, Closure body) { within(folder: file(a.path), body) }

    private do_withEnv(Map a, Closure body) {
        within(overrides: here.overrides + a.overrides.collectEntries { it.split('=', 2) as List }, body)
    }

    private do_withCredentials(Map a, Closure body) {
        Map secrets = a.bindings.collectEntries { binding ->
            Map found = spec.credentials[binding.credentialsId]
            if (found?.binding != binding.$class) {
                throw new AbortException("Could not find credentials entry with ID '${binding.credentialsId}'")
            }
            binding.$class == 'usernamePassword'
                ? [(binding.usernameVariable): found.name, (binding.passwordVariable): found.secret]
                : [(binding.accessKeyVariable): found.name, (binding.secretKeyVariable): found.secret]
        }
        return within(overrides: here.overrides + secrets, body)
    }

    private do_timeout(Map a, Closure body) {
        assert a.unit == 'MINUTES' && a.time instanceof Integer
        def timer = new Timer(true)
        timer.schedule({ interrupt('Timeout has been exceeded') } as TimerTask, (a.time * spec.minute * 1000) as long)
        try {
            return body.call()
        } finally {
            timer.cancel()
        }
    }

    private do_catchError(Map a, Closure body) {
        try {
            body.call()
        } catch (Exception e) {
            if (e instanceof FlowInterruptedException && a.catchInterruptions == false) {
                throw e
            }
            build.say("ERROR: ${a.message}\nERROR: ${e.message}")
            build.setResult(e instanceof FlowInterruptedException ? 'ABORTED' : a.buildResult ?: 'FAILURE')
        }
        return null
    }

    private do_parallel(Map a, Closure body) { a.each { name, branch -> branch() } }

    private do_script(Map a, Closure body) { body.call() }

    private do_timestamps(Map a, Closure body) { body.call() }

    private do_pipeline(Map a, Closure body) { new Declarative(build, this).run(body) }

    private do_library(Map a, Closure body) { build.load(a.identifier.tokenize('@')[0]) }

    private do_echo(Map a, Closure body) { build.say(a.message) }

    private do_error(Map a, Closure body) { throw new AbortException(a.message) }

    private do_unstable(Map a, Closure body) {
        build.say("WARNING: ${a.message}")
        build.setResult('UNSTABLE')
    }

    private do_checkout(Map a, Closure body) {
        file().mkdirs()
        if (a.scm instanceof Map) {
            return cloned(a.scm)
        }
        assert a.scm.is(build.globals.scm)
        command('cp', '-a', "${spec.repository}/.", file())
        return [GIT_COMMIT: spec.commit]
    }

    /** As the Git plugin does it: variables are expanded, unknown credentials are a warning, a branch is the remote's. */
    private Map cloned(Map scm) {
        assert scm.$class == 'GitSCM' && !(scm.keySet() - ['$class', 'branches', 'userRemoteConfigs'])
        assert scm.branches.size() == 1 && scm.userRemoteConfigs.size() == 1
        Map remote = scm.userRemoteConfigs[0]
        assert !(remote.keySet() - ['url', 'refspec', 'credentialsId'])
        def expand = { String text -> text.replaceAll(/\$\{?(\w+)}?/) { all, name -> environment()[name] ?: all } }
        if (remote.credentialsId && !spec.credentials[remote.credentialsId]) {
            build.say("Warning: CredentialId \"${remote.credentialsId}\" could not be found.")
        }
        def git = { Object... words -> command('git', '-C', file(), *words) }
        git('init', '-q')
        git('fetch', '-q', '--', expand(remote.url), '+refs/heads/*:refs/remotes/origin/*')
        if (remote.refspec) {
            git('fetch', '-q', '--', expand(remote.url), expand(remote.refspec))
        }
        String commit = expand(scm.branches[0].name).replaceFirst('^refs/heads/', 'refs/remotes/origin/')
        git('checkout', '-q', '--detach', commit)
        return [GIT_COMMIT: new File(file(), '.git/HEAD').text.trim()]
    }

    private do_deleteDir(Map a, Closure body) { file().deleteDir() }

    private do_fileExists(Map a, Closure body) { file(a.file).exists() }

    private do_readFile(Map a, Closure body) { file(a.file).text }

    private do_writeFile(Map a, Closure body) {
        file(a.file).parentFile.mkdirs()
        file(a.file).text = a.text
    }

    private do_stash(Map a, Closure body) {
        if (copy(a.includes ?: '**', a.excludes, new File(build.home, "stashes/${a.name}")) == 0 && !a.allowEmpty) {
            throw new AbortException("No files included in stash ‘${a.name}’")
        }
    }

    private do_unstash(Map a, Closure body) {
        File stash = new File(build.home, "stashes/${a.name}")
        if (!stash.exists()) {
            throw new AbortException("No such saved stash ‘${a.name}’")
        }
        file().mkdirs()
        command('cp', '-a', "${stash}/.", file())
    }

    private do_archiveArtifacts(Map a, Closure body) {
        if (copy(a.artifacts, a.excludes, new File(build.home, 'archive')) == 0 && !a.allowEmptyArchive) {
            throw new AbortException("No artifacts found that match the file pattern \"${a.artifacts}\"")
        }
    }

    /** Copies the files that match, with their paths; returns how many that were. */
    private int copy(String includes, String excludes, File target) {
        def matchers = { String globs ->
            globs.tokenize(', ').collect { FileSystems.default.getPathMatcher("glob:${it}") }
        }
        List wanted = matchers(includes)
        List unwanted = matchers(excludes ?: '')
        int copied = 0
        if (file().exists()) {
            file().eachFileRecurse(FileType.FILES) { File source ->
                Path path = file().toPath().relativize(source.toPath())
                if (wanted.any { it.matches(path) } && !unwanted.any { it.matches(path) }) {
                    File copy = target.toPath().resolve(path).toFile()
                    copy.parentFile.mkdirs()
                    Files.copy(source.toPath(), copy.toPath(), COPY_ATTRIBUTES, REPLACE_EXISTING)
                    copied++
                }
            }
        }
        return copied
    }

    private do_sh(Map a, Closure body) {
        file().mkdirs()
        def builder = new ProcessBuilder('setsid', 'sh', '-xe', '-c', a.script).directory(file())
        builder.environment().clear()
        builder.environment().putAll(environment())
        if (a.returnStdout) {
            builder.redirectError(ProcessBuilder.Redirect.appendTo(new File(build.home, 'console.log')))
        } else {
            builder.redirectErrorStream(true)
        }
        running = builder.start()
        String output = ''
        running.inputStream.eachLine { line ->
            if (a.returnStdout) {
                output += "${line}\n"
            } else {
                build.say(line)
            }
            if (spec.abortAt && line.contains(spec.abortAt)) {
                interrupt('Aborted by somebody')
            }
        }
        int status = running.waitFor()
        running = null
        if (interruption) {
            throw taken()
        }
        if (a.returnStatus) {
            return status
        }
        if (status != 0) {
            throw new AbortException("script returned exit code ${status}")
        }
        return a.returnStdout ? output : null
    }
}
