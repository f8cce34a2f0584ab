import groovy.transform.Field

/** Every parameter and its default. Texts, save for {@code local}, {@code reuse} and {@code timeout}. */
@Field static final Map DEFAULTS = [
    source          : '.',           // folder of the repository that holds the AMI source
    repository      : '',            // URL of that repository; none: the one that the Jenkinsfile came from
    branch          : 'main',        // of that repository
    refspec         : '',            // a ref of it instead of a branch: a change, refs/changes/34/1234/2
    credentialsId   : '',            // Git credentials in Jenkins for it; none: anybody may read it
    version         : '',            // version of the image; none: the AMI source's
    environment     : 'dev',         // where to build: a name in the build agent's environments file
    local           : false,         // build in the build agent's local cloud instead: no account, no credentials
    compileLabel    : 'ami-compile', // agent that sees the source, and has no rights in the cloud
    buildLabel      : 'ami-build',   // agent that sees the cloud, and no source
    reuse           : false,         // take an available image of the same inputs instead of building it again
    awsCredentialsId: '',            // AWS credentials in Jenkins for the build; none: what the build agent has
    timeout         : 60,            // minutes for each of the two stages, once its agent is there
    folder          : 'ami',         // folder of the artifacts; a name for each when one build makes several images
    cli             : 'jenkins-ami', // the command, or its path on the agents
]

/** Compiles the AMI source of this job's repository, builds the image, and returns its ids. See buildAmi.txt. */
def call(Map config = [:]) {
    String problem = problemOf(config)
    if (problem) {
        error("buildAmi: ${problem}")
    }
    Map cfg = DEFAULTS + config
    String compiled = "jenkins-ami-${UUID.randomUUID()}"
    Map ami = [:]
    withEnv([
        "AMI_CLI=${cfg.cli}",
        "AMI_SOURCE=${cfg.source}",
        "AMI_FOLDER=${cfg.folder}",
        "AMI_CLOUD=${cfg.local ? '--local' : "--environment=${cfg.environment}"}",
        "AMI_VERSION=${cfg.version}",
        "AMI_REUSE=${cfg.reuse ? '--reuse' : ''}",
        'JENKINS_AMI_ERROR_FILE=error.txt',
    ]) {
        stage('Compile AMI') {
            onAgent(cfg.compileLabel) { compile(cfg, compiled) }
        }
        stage('Build AMI') {
            ami = onAgent(cfg.buildLabel) { build(cfg, compiled) }
        }
    }
    // Some markup formatters take a description as HTML.
    String name = ami.imageName.replaceAll('[<>&]', '_')
    String ids = ami.images.collect { region, id -> "${id} (${region})" }.join(', ')
    currentBuild.displayName = "${currentBuild.displayName} ${name}"
    String line = "${name}: ${ids}${ami.reused ? ', reused' : ''}"
    currentBuild.description = [currentBuild.description, line].findAll { it }.join('\n')
    return ami
}

/** On the compile agent: the source comes in, the compiled AMI is archived and stashed. */
def compile(Map cfg, String compiled) {
    timeout(time: cfg.timeout, unit: 'MINUTES') {
        String commit = dir('source') { fetch(cfg) }
        withEnv(["AMI_COMMIT=${commit}"]) {
            check('compile', sh(label: 'jenkins-ami compile', returnStatus: true, script: '''
                "$AMI_CLI" compile ${AMI_COMMIT:+--source-commit="$AMI_COMMIT"} \
                    ${AMI_VERSION:+--version="$AMI_VERSION"} "source/$AMI_SOURCE" "$AMI_FOLDER"
            '''))
        }
    }
    keep(cfg.folder)
    dir(cfg.folder) { stash(name: compiled) }
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

/**
 * On the build agent: the compiled AMI comes in, the image's ids go out. The two have a folder each, so that nothing
 * which crosses the wall can pose as a ledger.
 */
def build(Map cfg, String compiled) {
    dir('compiled') { unstash(compiled) }
    List aws = !cfg.awsCredentialsId ? [] : [[
        $class            : 'AmazonWebServicesCredentialsBinding',
        credentialsId     : cfg.awsCredentialsId,
        accessKeyVariable : 'AWS_ACCESS_KEY_ID',
        secretKeyVariable : 'AWS_SECRET_ACCESS_KEY',
    ]]
    try {
        withCredentials(aws) {
            try {
                timeout(time: cfg.timeout, unit: 'MINUTES') {
                    check('build', sh(label: 'jenkins-ami build', returnStatus: true, script: '''
                        "$AMI_CLI" build compiled "$AMI_CLOUD" $AMI_REUSE -o "$AMI_FOLDER"
                    '''))
                }
            } finally {
                afterwards("Cleaning up failed: the cloud may hold something that ${cfg.folder}/ledger.jsonl lists.") {
                    if (fileExists("${cfg.folder}/ledger.jsonl")) {
                        sh(label: 'jenkins-ami cleanup', script: '"$AMI_CLI" cleanup "$AMI_FOLDER"')
                    }
                }
            }
        }
    } finally {
        keep(cfg.folder)
    }
    return idsOf(readFile("${cfg.folder}/ami.json"))
}

/** Takes an agent, also when called on one, and gives {@code body} an empty folder there that goes when it ends. */
def onAgent(String label, Closure body) {
    return node(label) {
        dir('.jenkins-ami') {
            deleteDir()
            try {
                return body()
            } finally {
                afterwards('The work folder could not be removed.') { deleteDir() }
            }
        }
    }
}

/** Fails the build with one line when a command failed: the CLI's own, which it leaves in a file. */
def check(String command, int status) {
    if (status != 0) {
        String reason = fileExists('error.txt') ? ": ${readFile('error.txt').trim()}" : ''
        error("jenkins-ami ${command} failed with exit code ${status}${reason}")
    }
}

/** Archives all that there is, be it a success or not; not the overlay, which may be large. */
def keep(String folder) {
    afterwards("${folder}/ could not be archived.") {
        archiveArtifacts(artifacts: "${folder}/**", excludes: "${folder}/fs.tgz", allowEmptyArchive: true,
            fingerprint: true)
    }
}

/** Runs what follows an outcome without replacing it: a failure in here makes the build unstable, no more. */
def afterwards(String message, Closure body) {
    catchError(message: message, buildResult: 'UNSTABLE', stageResult: 'UNSTABLE', catchInterruptions: false) { body() }
}

/** What of ami.json the step returns, as plain maps and texts. */
@NonCPS
Map idsOf(String text) {
    def json = new groovy.json.JsonSlurper().parseText(text)
    Map images = json.images.collectEntries { region, image -> [(region): image.image_id] }
    return [
        name: json.name, version: json.version, build: json.build, imageName: json.image_name,
        region: json.region, amiId: images[json.region], images: images, reused: json.reused,
    ]
}

/** What is wrong with the parameters, or null. */
@NonCPS
String problemOf(Map config) {
    for (key in config.keySet()) {
        String name = key
        if (!DEFAULTS.containsKey(name)) {
            String close = DEFAULTS.keySet().min { distance(name.toLowerCase(), it.toLowerCase()) }
            String hint = distance(name.toLowerCase(), close.toLowerCase()) > 2 ? '' : " Did you mean '${close}'?"
            return "there is no parameter '${name}'.${hint} Known are: ${DEFAULTS.keySet().join(', ')}."
        }
        if (kindOf(config[key]) != kindOf(DEFAULTS[name])) {
            return "'${name}' must be ${kindOf(DEFAULTS[name])}, not '${config[key]}'."
        }
    }
    if (config.local && config.containsKey('environment')) {
        return "'local: true' and 'environment' exclude each other."
    }
    for (name in ['branch', 'refspec', 'credentialsId']) {
        if (config[name] && !config.repository) {
            return "'${name}' says what of a 'repository' to take, which is not given."
        }
    }
    if (config.containsKey('branch') && !(config.branch ==~ /[^\s*$]+/)) {
        return "'branch' must be the name of a branch, not '${config.branch}'."
    }
    if (config.refspec && !(config.refspec ==~ /refs\/[^\s:*$]+/)) {
        return "'refspec' must be one ref, like refs/changes/34/1234/2, not '${config.refspec}'."
    }
    if (config.containsKey('folder') && !(config.folder ==~ /[A-Za-z0-9][A-Za-z0-9._-]*/)) {
        return "'folder' must be a plain name of letters, digits, '.', '_' and '-', not '${config.folder}'."
    }
    return null
}

@NonCPS
String kindOf(value) {
    return value instanceof Boolean ? 'true or false'
        : value instanceof Integer && value > 0 ? 'a whole number above 0'
        : value instanceof CharSequence ? 'a text' : 'unknown'
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
