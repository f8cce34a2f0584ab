import groovy.transform.Field

/** The version of the CLI that these steps were written with: this repository's own. */
@Field static final String VERSION = '0.1.0'

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    command: '',        // a command or path on the agent, taken as it is
    version: '',        // of the package index; none: the library's own
    from   : '',        // the URL of a Git repository, or a folder, to install from; none: the package index
    ref    : '',        // branch, tag or commit of that repository; none: the one that Jenkins took the library from
    python : 'python3', // command or path of a Python, 3.11 or newer, to make an environment with
    extras : [],        // what to install besides: 'local' for the local cloud
    cache  : '',        // folder of the environments; none: jenkins-ami/cli in the cache folder of the agent's user
]

/** Runs the body with the right jenkins-ami on this agent, made once where it is missing. See withJenkinsAmi.txt. */
def call(Map config = [:], Closure body) {
    Map cfg = jenkinsAmi.settle('withJenkinsAmi', config, DEFAULTS)
    Map wanted = cfg + [
        extras: cfg.extras.join(','), libraryVersion: VERSION, libraryRef: env.'library.jenkins-ami.version' ?: '',
    ]
    String found = ''
    withEnv(["JENKINS_AMI_WANTED=${encoded(wanted)}"]) {
        found = sh(label: 'jenkins-ami', returnStdout: true, script: libraryResource('jenkins-ami/provide.sh')).trim()
    }
    if (!found.startsWith('/')) {
        error("withJenkinsAmi: ${found - 'error: '}")
    }
    // withEnv replaces $NAME, and $$ by $.
    String path = found.replace('$', '$$')
    return withEnv(["JENKINS_AMI_CLI=${path}", "PATH+JENKINS_AMI=${path.substring(0, path.lastIndexOf('/'))}"]) {
        body()
    }
}

/** What provide.sh reads: a line for each, without the dollars that withEnv would replace. */
@NonCPS
String encoded(Map wanted) {
    return wanted.collect { name, value ->
        "${name}=${value.toString().replace('%', '%25').replace('$', '%24').replace('\n', '%0A')}"
    }.join('\n')
}
