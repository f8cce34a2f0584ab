import groovy.transform.Field

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    source          : '.',           // folder of the repository that holds the AMI source
    repository      : '',            // URL of that repository; none: the one that the Jenkinsfile came from
    branch          : 'main',        // of that repository
    refspec         : '',            // a ref of it instead of a branch: a change, refs/changes/34/1234/2
    credentialsId   : '',            // Git credentials in Jenkins for it; none: anybody may read it
    version         : '',            // version of the image; none: the AMI source's
    parameters      : [:],           // values of the AMI source's parameters
    secretParameters: [:],           // the same for secret ones: name, and id of a secret text in Jenkins
    storage         : '',            // where an overlay goes that is too large; none: as source or environment say
    sandbox         : '',            // run compile.sh in bubblewrap: 'offline', or 'network'
    label           : 'ami-compile', // agent that sees the source, and has no rights in the cloud
    timeout         : 60,            // minutes, once the agent is there
    folder          : 'ami',         // folder of the artifacts
    archiveOverlay  : false,         // archive fs.tgz too, which may be large
    throttle        : [],            // categories of the plugin Throttle Concurrent Builds
    cli             : [:],           // which jenkins-ami the agent takes: parameters of withJenkinsAmi
]

/** Compiles an AMI source on an agent without rights in the cloud, and stashes what came out. See compileAmi.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('compileAmi', config, DEFAULTS)
    Map compiled = [:]
    stage('Compile AMI') {
        compiled = jenkinsAmi.onAgent(cfg, cfg.label) { compile(cfg) }
    }
    return compiled
}

Map compile(Map cfg) {
    timeout(time: cfg.timeout, unit: 'MINUTES') {
        String commit = dir('source') { jenkinsAmi.fetch(cfg) }
        jenkinsAmi.withSecrets(cfg) {
            jenkinsAmi.exec('compile', [
                source: "source/${cfg.source}", target: cfg.folder, 'source-commit': commit, version: cfg.version,
                param: cfg.parameters, storage: cfg.storage, sandbox: cfg.sandbox,
            ])
        }
    }
    jenkinsAmi.keep(cfg.folder, cfg.archiveOverlay ? '' : "${cfg.folder}/fs.t*")
    Map manifest = jenkinsAmi.plain(readFile("${cfg.folder}/compile.json"))
    return [stash: jenkinsAmi.stashed(cfg.folder), name: manifest.name, version: manifest.version,
            commit: manifest.commit ?: '', digest: manifest.digest]
}
