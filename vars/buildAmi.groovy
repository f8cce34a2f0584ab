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
    environment     : ['dev'],       // where to build: names in the agent's environments file, one after the other
    local           : false,         // build in the build agent's local cloud instead: no account, no credentials
    reuse           : false,         // take an available image of the same inputs instead of building it again
    test            : false,         // launch the image once and run the AMI source's tests on it
    publish         : true,          // copy, share and publish it as the AMI source and the environment say
    approve         : [],            // environments that a person has to approve before they are built
    approvers       : '',            // users and groups that may, separated by commas; none: who may build the job
    approvalTimeout : 24,            // hours that they have
    awsCredentialsId: '',            // AWS credentials in Jenkins for the build; none: what the build agent has
    awsRole         : '',            // ARN of a role to assume with them
    compileLabel    : 'ami-compile', // agent that sees the source, and has no rights in the cloud
    buildLabel      : 'ami-build',   // agent that sees the cloud, and no source
    timeout         : 60,            // minutes for each stage, once its agent is there
    folder          : 'ami',         // folder of the artifacts; a name for each when one build makes several images
    archiveOverlay  : false,         // archive fs.tgz too, which may be large
    lock            : true,          // one image name in one environment at a time, with the plugin Lockable Resources
    throttle        : [],            // categories of the plugin Throttle Concurrent Builds
    cli             : [:],           // which jenkins-ami the agents take: parameters of withJenkinsAmi
]

/** Compiles the AMI source of this job's repository, builds images of it, and returns their ids. See buildAmi.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('buildAmi', config, DEFAULTS)
    Map compiled = compileAmi(forPhase(cfg, compileAmi.DEFAULTS, 'compileLabel'))
    return bakeAmi(forPhase(cfg, bakeAmi.DEFAULTS, 'buildLabel') + [compiled: compiled])
}

/** The parameters that one phase has too, and its label. */
@NonCPS
Map forPhase(Map cfg, Map phase, String label) {
    return cfg.findAll { name, value -> phase.containsKey(name) && value != phase[name] } + [label: cfg[label]]
}
