import groovy.transform.Field

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    mode                : 'plan',        // 'plan' tells what differs, 'apply' changes it
    config              : 'jobs.yaml',   // path of the configuration in this job's repository
    prune               : false,         // 'apply' removes what is wanted no more
    maxDeletes          : '',            // more removals than this are refused; none: max_deletes of the configuration
    verify              : false,         // 'apply' also mends what somebody changed by hand; 'plan' always looks for it
    jenkinsCredentialsId: 'jenkins-ami', // user name and API token in Jenkins, with rights on the root folder
    label               : 'ami-seed',    // agent
    timeout             : 60,            // minutes, once the agent is there
    folder              : 'jobs',        // folder of the artifacts
    cli                 : [:],           // which jenkins-ami the agent takes: parameters of withJenkinsAmi
]

/** Gives Jenkins the jobs of all AMI sources, or tells what that would change. See generateAmiJobs.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('generateAmiJobs', config, DEFAULTS)
    if (!(cfg.mode in ['plan', 'apply'])) {
        error("generateAmiJobs: 'mode' must be plan or apply, not '${cfg.mode}'.")
    }
    Map done = [:]
    stage('Jobs') {
        done = jenkinsAmi.onAgent(cfg, cfg.label) {
            timeout(time: cfg.timeout, unit: 'MINUTES') { generate(cfg) }
        }
    }
    String line = done.counts.collect { action, count -> "${action} ${count}" }.join(', ') ?: 'nothing'
    currentBuild.description = "${cfg.mode}: ${line}"
    if (done.differs) {
        unstable("Jenkins is not what the AMI sources say: ${cfg.folder}/plan.html shows the difference.")
    }
    return done.counts
}

/** Runs the command in the folder of its artifacts; returns how many items there are of each action. */
Map generate(Map cfg) {
    dir('source') { jenkinsAmi.fetch(cfg) }
    Map asked = cfg.mode == 'plan' ? [verify: true, 'exit-code': true]
        : [verify: cfg.verify, prune: cfg.prune, 'max-deletes': cfg.maxDeletes]
    try {
        return dir(cfg.folder) {
            int code = jenkinsAmi.withSecrets(cfg) {
                jenkinsAmi.status("jobs ${cfg.mode}",
                    asked + [config: "../source/${cfg.config}", html: 'plan.html', json: true], 'plan.json')
            }
            if (!(code in [0, 8])) {
                jenkinsAmi.fail("jobs ${cfg.mode}", code)
            }
            return [counts: jenkinsAmi.plain(readFile('plan.json')).counts, differs: code == 8]
        }
    } finally {
        jenkinsAmi.keep(cfg.folder, "${cfg.folder}/error.txt")
    }
}
