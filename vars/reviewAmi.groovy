import groovy.transform.Field

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    verification       : [:],          // what verifyAmi returns; [stash: …] that holds a verification.json is enough
    gerritUrl          : '',           // the only one that gets the password; needed
    gerritCredentialsId: '',           // user name and HTTP password in Jenkins for it; none: the agent's netrc
    gerritLabel        : 'Verified',   // to vote on
    label              : 'ami-verify', // agent; it gets nothing of the source
    timeout            : 10,           // minutes, once the agent is there
    cli                : [:],          // which jenkins-ami the agent takes: parameters of withJenkinsAmi
]

/** Tells Gerrit what verifyAmi found: a vote, a message, comments at the lines. See reviewAmi.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('reviewAmi', config, DEFAULTS)
    Map found = cfg.verification
    if (!cfg.gerritUrl) {
        error("reviewAmi: 'gerritUrl' is missing.")
    }
    if (!found.stash && !found.commit) {
        error("reviewAmi: 'verification' must be what verifyAmi returns, or [stash: 'name'] of a verification.json.")
    }
    Map asked = found.stash ? [verification: 'verification.json']
        : [commit: found.commit, broken: found.reason ?: 'there is no verification']
    stage('Review') {
        jenkinsAmi.onAgent(cfg, cfg.label) {
            timeout(time: cfg.timeout, unit: 'MINUTES') {
                if (found.stash) {
                    take(found)
                }
                jenkinsAmi.withSecrets(cfg) {
                    jenkinsAmi.exec('gerrit review',
                        asked + [url: cfg.gerritUrl, label: cfg.gerritLabel, link: env.BUILD_URL ?: ''])
                }
            }
        }
    }
}

/** What ran with the source may have written the verification, and shall not vote on another change. */
void take(Map found) {
    unstash(found.stash)
    String commit = jenkinsAmi.plain(readFile('verification.json')).commit
    if (found.commit && commit != found.commit) {
        String other = jenkinsAmi.oneLine("${commit}")
        error("reviewAmi: the verification is of commit ${other}, not of ${found.commit}.")
    }
}
