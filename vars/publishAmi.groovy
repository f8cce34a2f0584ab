import groovy.transform.Field

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    ami             : [:],           // what buildAmi or bakeAmi returned
    environment     : [],            // whose regions, accounts, parameters; none: the one that it was built in
    awsCredentialsId: '',            // AWS credentials in Jenkins; none: what the agent has
    awsRole         : '',            // ARN of a role to assume with them
    label           : 'ami-build',   // agent that sees the cloud
    timeout         : 60,            // minutes, once the agent is there
    folder          : 'published',   // folder of the artifacts
    throttle        : [],            // categories of the plugin Throttle Concurrent Builds
    cli             : [:],           // which jenkins-ami the agent takes: parameters of withJenkinsAmi
]

/** Brings an image to its regions, accounts and parameters, and returns its ids there. See publishAmi.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('publishAmi', config, DEFAULTS)
    if (!cfg.ami.stash) {
        error("publishAmi: 'ami' must be what buildAmi() or bakeAmi() returned.")
    }
    Map published = [:]
    stage('Publish AMI') {
        published = jenkinsAmi.onAgent(cfg, cfg.label) { publish(cfg) }
    }
    return cfg.ami + published
}

Map publish(Map cfg) {
    dir(cfg.folder) { unstash(cfg.ami.stash) }
    try {
        jenkinsAmi.inCloud(cfg) {
            (cfg.environment ?: [cfg.ami.environment]).each { name ->
                jenkinsAmi.exec('distribute', [result: cfg.folder, environment: name])
            }
        }
    } finally {
        jenkinsAmi.keep(cfg.folder)
    }
    return bakeAmi.resultIn(cfg.folder)
}
