import groovy.json.JsonOutput
import groovy.transform.Field

/** Parameters that name credentials in Jenkins: their kind, and the variables that hold them while a command runs. */
@Field static final Map CREDENTIALS = [
    awsCredentialsId    : [kind: 'aws', user: 'AWS_ACCESS_KEY_ID', secret: 'AWS_SECRET_ACCESS_KEY'],
    gerritCredentialsId : [kind: 'login', user: 'GERRIT_USER', secret: 'GERRIT_TOKEN'],
    jenkinsCredentialsId: [kind: 'login', user: 'JENKINS_USER', secret: 'JENKINS_TOKEN'],
]

/** What some parameters must look like, wherever they occur: for a person, and as a regular expression. */
@Field static final Map FORMS = [
    branch     : ['the name of a branch', /[^\s*$]+/],
    environment: ["a name of letters, digits, '.', '_' and '-'", /[A-Za-z0-9][A-Za-z0-9._-]*/],
    folder     : ["a plain name of letters, digits, '.', '_' and '-'", /[A-Za-z0-9][A-Za-z0-9._-]*/],
    refspec    : ['one ref, like refs/changes/34/1234/2', /refs\/[^\s:*$]+/],
]

/** Runs one command of the CLI on the agent at hand, and fails the build when it fails. See jenkinsAmi.txt. */
def call(Map arguments = [:], String command) {
    exec(command, arguments)
}

/** The same, for steps. */
void exec(String command, Map arguments) {
    int code = status(command, arguments)
    if (code != 0) {
        fail(command, code)
    }
}

/**
 * Runs a command and returns its exit code.
 *
 * All that it is to do is one text of JSON in one variable. withEnv replaces $NAME in values, so there is no $ in it.
 *
 * @param output a file that gets its standard output
 */
int status(String command, Map arguments, String output = '') {
    Map given = arguments.findAll { name, value -> value != null && value != '' && value != [] && value != [:] }
    String json = JsonOutput.toJson([command: command, arguments: given])
    withEnv([
        "JENKINS_AMI_STEP=${json.replace('$', '\\' + 'u0024')}",
        "JENKINS_AMI_OUTPUT=${output}",
        'JENKINS_AMI_ERROR_FILE=error.txt',
    ]) {
        return sh(label: "jenkins-ami ${command}", returnStatus: true, script: '''#!/bin/sh
            rm -f error.txt
            if [ -n "${JENKINS_AMI_OUTPUT:-}" ]; then exec >"$JENKINS_AMI_OUTPUT"; fi
            exec "${JENKINS_AMI_CLI:-jenkins-ami}" step
        ''')
    }
}

/** Ends the build with one line: the command's own, which it leaves in a file. */
void fail(String command, int code) {
    String reason = fileExists('error.txt') ? ": ${readFile('error.txt').trim()}" : ''
    error("jenkins-ami ${command} failed with exit code ${code}${reason}")
}

/** A step's parameters over its defaults; a wrong one ends the build before any agent is taken. */
Map settle(String step, Map config, Map defaults) {
    String problem = problemOf(config, defaults)
    if (problem) {
        error("${step}: ${problem}")
    }
    return defaults + config.collectEntries { name, value ->
        [(name): settled(defaults[name] instanceof List && !(value instanceof List) ? [value] : value)]
    }
}

/** The same with plain texts where there are "texts with ${values}". */
@NonCPS
def settled(value) {
    if (value instanceof Map) {
        return value.collectEntries { name, each -> [(name.toString()): settled(each)] }
    }
    return value instanceof List ? value.collect { settled(it) }
        : value instanceof CharSequence ? value.toString() : value
}

/** Checks out the source, and returns its commit. */
String fetch(Map cfg) {
    if (!cfg.repository) {
        return checkout(scm).GIT_COMMIT ?: ''
    }
    // The plugin puts variables of the build where a URL has $NAME.
    Map remote = [url: cfg.repository.replace('$', '%24')]
    if (cfg.credentialsId) {
        remote.credentialsId = cfg.credentialsId
    }
    if (cfg.refspec) {
        remote.refspec = cfg.refspec
    }
    String commit = cfg.refspec ? 'FETCH_HEAD' : "refs/heads/${cfg.branch}"
    return checkout([$class: 'GitSCM', branches: [[name: commit]], userRemoteConfigs: [remote]]).GIT_COMMIT ?: ''
}

/** Takes an agent, also when called on one, and gives the body an empty folder there, which goes when it ends. */
def onAgent(Map cfg, String label, Closure body) {
    Closure taken = {
        node(label) {
            dir('.jenkins-ami') {
                deleteDir()
                try {
                    return withJenkinsAmi(cfg.cli ?: [:]) { body() }
                } finally {
                    afterwards('The work folder could not be removed.') { deleteDir() }
                }
            }
        }
    }
    return cfg.throttle ? optional('throttle', { throttle(cfg.throttle) { taken() } }, taken) : taken()
}

/** Binds the credentials that the parameters name, for as long as the body runs. */
def withSecrets(Map cfg, Closure body) {
    Set named = CREDENTIALS.keySet().findAll { cfg[it] }
    List bindings = named.collect { bindingOf(CREDENTIALS[it], cfg[it], cfg.awsRole) }
    bindings += (cfg.secretParameters ?: [:]).collect { name, id ->
        string(credentialsId: id, variable: "AMI_PARAM_${name}")
    }
    return withCredentials(bindings) { body() }
}

def bindingOf(Map declared, String id, String role) {
    if (declared.kind == 'login') {
        return usernamePassword(credentialsId: id, usernameVariable: declared.user, passwordVariable: declared.secret)
    }
    Map binding = [$class: 'AmazonWebServicesCredentialsBinding', credentialsId: id,
                   accessKeyVariable: declared.user, secretKeyVariable: declared.secret]
    return role ? binding + [roleArn: role, roleSessionName: 'jenkins-ami'] : binding
}

/** Archives all that there is in a folder, be it a success or not. */
void keep(String folder, String excludes = '') {
    afterwards("${folder}/ could not be archived.") {
        archiveArtifacts(artifacts: "${folder}/**", excludes: excludes, allowEmptyArchive: true, fingerprint: true)
    }
}

/** Runs the body within its time and with its credentials; what is open in the ledger of its folder then is ended. */
void inCloud(Map cfg, Closure body) {
    withSecrets(cfg) {
        try {
            timeout(time: cfg.timeout, unit: 'MINUTES') { body() }
        } finally {
            cleanUp(cfg.folder)
        }
    }
}

/** Stashes files of a folder for another agent; returns by what name. */
String stashed(String folder, String includes = '**') {
    String name = "jenkins-ami-${UUID.randomUUID()}"
    dir(folder) { stash(name: name, includes: includes) }
    return name
}

/** Ends what the ledger of a folder says was begun and not finished. */
void cleanUp(String folder) {
    afterwards("Cleaning up failed: ${folder}/ledger.jsonl lists what may be left.") {
        if (fileExists("${folder}/ledger.jsonl")) {
            exec('cleanup', [ledger: folder])
        }
    }
}

/** Runs what follows an outcome without replacing it: a failure in here makes the build unstable, no more. */
void afterwards(String message, Closure body) {
    catchError(message: message, buildResult: 'UNSTABLE', stageResult: 'UNSTABLE', catchInterruptions: false) { body() }
}

/** Calls the first closure, or the second where the plugin is missing whose step the first one uses. */
def optional(String step, Closure usual, Closure otherwise) {
    try {
        return usual.call()
    } catch (NoSuchMethodError e) {
        if (!e.message.contains("No such DSL method '${step}'")) {
            throw e
        }
    }
    return otherwise.call()
}

/** JSON as plain maps, lists and texts, which a build can hold over a step. */
@NonCPS
def plain(String json) {
    return copied(new groovy.json.JsonSlurper().parseText(json))
}

@NonCPS
def copied(value) {
    if (value instanceof Map) {
        return value.collectEntries { name, each -> [(name): copied(each)] }
    }
    return value instanceof List ? value.collect { copied(it) } : value
}

/** Adds a line to the build's description. */
void describe(String line) {
    currentBuild.description = [currentBuild.description, line].findAll { it }.join('\n')
}

/** Text from elsewhere for a display name or a description, which some markup formatters take as HTML. */
@NonCPS
String oneLine(String text) {
    return text.replaceAll(/[<>&\p{Cntrl}]/, '_')
}

/** What is wrong with parameters, or null. */
@NonCPS
String problemOf(Map config, Map defaults) {
    for (key in config.keySet()) {
        String name = key
        if (!defaults.containsKey(name)) {
            String close = defaults.keySet().min { distance(name.toLowerCase(), it.toLowerCase()) }
            String hint = distance(name.toLowerCase(), close.toLowerCase()) > 2 ? '' : " Did you mean '${close}'?"
            return "there is no parameter '${name}'.${hint} Known are: ${defaults.keySet().join(', ')}."
        }
        String kind = kindOf(defaults[name])
        def values = defaults[name] instanceof List && !(config[name] instanceof List) ? [config[name]] : config[name]
        if (kindOf(values) != kind) {
            return "'${name}' must be ${kind}, not '${config[name]}'."
        }
        List form = FORMS[name]
        List texts = values instanceof List ? values : [values]
        if (form && config[name] != defaults[name] && !texts.every { it ==~ form[1] }) {
            return "'${name}' must be ${form[0]}, not '${config[name]}'."
        }
    }
    if (config.environment == [] && defaults.environment) {
        return "'environment' must not be empty."
    }
    String odd = (config.secretParameters ?: [:]).keySet().find { !(it ==~ /[A-Za-z_][A-Za-z0-9_]*/) }
    if (odd) {
        return "'secretParameters' must have names of letters, digits and '_', not '${odd}'."
    }
    if (config.local && config.containsKey('environment')) {
        return "'local: true' and 'environment' exclude each other."
    }
    for (name in ['branch', 'refspec', 'credentialsId']) {
        if (config[name] && !config.repository) {
            return "'${name}' says what of a 'repository' to take, which is not given."
        }
    }
    if (config.awsRole && !config.awsCredentialsId) {
        return "'awsRole' is assumed with 'awsCredentialsId', which is not given. Or say 'role:' in environments.yaml."
    }
    if (config.gerritCredentialsId && !config.gerritUrl) {
        return "'gerritUrl' is missing: it says to whom the password of 'gerritCredentialsId' may be sent."
    }
    return null
}

@NonCPS
String kindOf(value) {
    return value instanceof Boolean ? 'true or false'
        : value instanceof Integer && value > 0 ? 'a whole number above 0'
        : value instanceof CharSequence ? 'a text'
        : value instanceof List && value.every { it instanceof CharSequence } ? 'a list of texts'
        : value instanceof Map ? 'a map' : 'unknown'
}

/** Levenshtein's edit distance. */
@NonCPS
int distance(String a, String b) {
    List row = (0..b.length()).collect { it }
    for (int i = 1; i <= a.length(); i++) {
        List next = [i]
        for (int j = 1; j <= b.length(); j++) {
            int replaced = row[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
            next << Math.min(replaced, Math.min(row[j], next[j - 1]) + 1)
        }
        row = next
    }
    return row[b.length()]
}
