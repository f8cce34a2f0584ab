import groovy.transform.Field
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    source             : [],           // folders of the AMI sources to verify; none: all that the commit touches
    repository         : '',           // URL of their repository; none: the one that the Jenkinsfile came from
    branch             : 'main',       // of that repository
    refspec            : '',           // a ref of it instead of a branch: a change, refs/changes/34/1234/2
    credentialsId      : '',           // Git credentials in Jenkins for it; none: anybody may read it
    parameters         : [:],          // values of the AMI sources' parameters
    sandbox            : 'offline',    // of compile.sh, in bubblewrap: 'offline' or 'network'; 'none' is without
    boot               : 'auto',       // boot the image on the agent: 'yes', 'no', or 'auto', when the agent can
    label              : 'ami-verify', // agent for code that nobody has reviewed: it holds no rights and no secrets
    timeout            : 60,           // minutes, once the agent is there
    folder             : 'verify',     // folder of the artifacts
    gerritUrl          : '',           // Gerrit that gets a review; none: only the build tells
    gerritCredentialsId: '',           // user name and HTTP password in Jenkins for it; none: the agent's netrc
    gerritLabel        : 'Verified',   // to vote on
    reviewLabel        : '',           // agent that posts the review; none: 'label'
    cli                : [:],          // which jenkins-ami the agents take: parameters of withJenkinsAmi
]

/** Verifies a commit without a secret in reach, then tells Gerrit. See verifyAmi.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('verifyAmi', config, DEFAULTS)
    // A boot takes the local cloud.
    cfg.cli = [extras: ['local']] + cfg.cli
    // Both plugins for Gerrit say of which commit the build is.
    Map found = [outcome: 'broken', reason: 'verification.json cannot be read', sources: [], stash: '',
                 commit: env.GERRIT_PATCHSET_REVISION ?: '']
    stage('Verify AMI') {
        try {
            jenkinsAmi.onAgent(cfg, cfg.label) { verify(cfg, found) }
        } catch (FlowInterruptedException e) {
            throw e
        } catch (Exception e) { // groovylint-disable-line CatchException
            String why = jenkinsAmi.oneLine((e.message ?: e.toString()).trim())
            echo(why)
            found.reason = found.stash ? found.reason : why
        }
    }
    List names = found.sources.collect { "${it.name ?: it.folder} ${it.version}" }
    String line = jenkinsAmi.oneLine("${found.outcome}: ${found.reason ?: names.join(', ')}")
    jenkinsAmi.describe(line)
    boolean good = found.outcome in ['passed', 'skipped']
    if (cfg.gerritUrl && found.commit) {
        Map review = [verification: found, label: cfg.reviewLabel ?: cfg.label, gerritUrl: cfg.gerritUrl,
                      gerritCredentialsId: cfg.gerritCredentialsId, gerritLabel: cfg.gerritLabel, cli: cfg.cli]
        if (good) {
            reviewAmi(review)
        } else {
            jenkinsAmi.afterwards('The review could not be posted.') { reviewAmi(review) }
        }
    }
    if (!good) {
        error("verifyAmi: ${line}")
    }
    return found
}

/** On the agent: finds out what there is to know, into {@code found}. */
void verify(Map cfg, Map found) {
    long end = currentBuild.duration + cfg.timeout * 60000L
    boolean late = false
    try {
        timeout(time: cfg.timeout, unit: 'MINUTES') {
            found.commit = dir('source') { jenkinsAmi.fetch(cfg) } ?: found.commit
            int code = jenkinsAmi.status('verify', [
                source: cfg.source, 'work-tree': 'source', output: cfg.folder, param: cfg.parameters,
                sandbox: cfg.sandbox, boot: cfg.boot,
            ])
            if (!fileExists("${cfg.folder}/verification.json")) {
                jenkinsAmi.fail('verify', code)
            }
        }
    } catch (FlowInterruptedException e) {
        // Whether somebody aborted it, the sandbox does not let one ask.
        late = currentBuild.duration >= end
        if (!late) {
            throw e
        }
    } finally {
        jenkinsAmi.afterwards('What was found out could not be kept.') { keep(cfg, found) }
        jenkinsAmi.keep(cfg.folder)
    }
    if (late && !found.stash) {
        error("it took longer than ${cfg.timeout} minutes")
    }
}

/** Takes over what was found out, also by a run that was cut short. */
void keep(Map cfg, Map found) {
    if (fileExists("${cfg.folder}/verification.json")) {
        found << summaryOf(jenkinsAmi.plain(readFile("${cfg.folder}/verification.json")), found.commit)
        found.stash = jenkinsAmi.stashed(cfg.folder, 'verification.json')
        jenkinsAmi.exec('report', [folder: cfg.folder])
    }
}

/** What of verification.json the step returns; the commit is that of the checkout, if that told it. */
@NonCPS
Map summaryOf(Map json, String commit) {
    List sources = json.sources.collect {
        [folder: it.folder, name: it.name, version: it.version, outcome: it.outcome, reason: it.reason]
    }
    return [outcome: json.outcome, reason: json.reason ?: '', commit: commit ?: json.commit, sources: sources]
}
