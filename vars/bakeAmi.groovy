import groovy.transform.Field

/** Every parameter and its default. */
@Field static final Map DEFAULTS = [
    compiled        : [:],           // what compileAmi returned
    environment     : ['dev'],       // where to build: names in the agent's environments file, one after the other
    local           : false,         // build in the build agent's local cloud instead: no account, no credentials
    reuse           : false,         // take an available image of the same inputs instead of building it again
    test            : false,         // launch the image once and run the AMI source's tests on it
    publish         : true,          // copy, share and publish it as the AMI source and the environment say
    approve         : [],            // environments that a person has to approve before they are built
    approvers       : '',            // users and groups that may, separated by commas; none: who may build the job
    approvalTimeout : 24,            // hours that they have
    awsCredentialsId: '',            // AWS credentials in Jenkins; none: what the build agent has
    awsRole         : '',            // ARN of a role to assume with them
    label           : 'ami-build',   // agent that sees the cloud, and no source
    timeout         : 60,            // minutes for each environment, once the agent is there
    folder          : 'ami',         // folder of the artifacts; of several environments each has one in it
    lock            : true,          // one image name in one environment at a time, with the plugin Lockable Resources
    throttle        : [],            // categories of the plugin Throttle Concurrent Builds
    cli             : [:],           // which jenkins-ami the agent takes: parameters of withJenkinsAmi
]

/** Exit codes of a command that was cut off: lost, never started, killed, or ended by somebody else than Jenkins. */
@Field static final List CUT_OFF = [-1, -2, 130, 137, 143]

/** How often a build that was cut off goes on. */
@Field static final int RESUMES = 3

/** Builds images of a compiled AMI, and returns their ids. See bakeAmi.txt. */
def call(Map config = [:]) {
    Map cfg = jenkinsAmi.settle('bakeAmi', config, DEFAULTS)
    if (!cfg.compiled.stash) {
        error("bakeAmi: 'compiled' must be what compileAmi() returned.")
    }
    List environments = cfg.local ? ['local'] : cfg.environment
    Map cli = (cfg.local ? [extras: ['local']] : [:]) + cfg.cli
    Map built = [:]
    environments.each { name ->
        boolean several = environments.size() > 1
        if (name in cfg.approve) {
            approved(cfg, name)
        }
        Map one = cfg + [name: name, cli: cli, folder: several ? "${cfg.folder}/${name}" : cfg.folder]
        stage(several ? "Build AMI: ${name}" : 'Build AMI') {
            built[name] = alone(one) { jenkinsAmi.onAgent(one, cfg.label) { bake(one) } }
        }
        show(built[name])
    }
    return built[environments.last()] + [environments: built]
}

/** Waits for a person, on no agent. */
void approved(Map cfg, String name) {
    stage("Approve: ${name}") {
        timeout(time: cfg.approvalTimeout, unit: 'HOURS') {
            Map question = [message: "Build ${cfg.compiled.name} ${cfg.compiled.version} in ${name}?", ok: 'Build']
            input(cfg.approvers ? question + [submitter: cfg.approvers] : question)
        }
    }
}

/** Two builds of one name would only wait for each other in the cloud. */
def alone(Map one, Closure body) {
    String resource = "jenkins-ami ${one.compiled.name} ${one.name}"
    return one.lock ? jenkinsAmi.optional('lock', { lock(resource) { body() } }, body) : body()
}

/**
 * On the build agent: the compiled AMI comes in, the image's ids go out. The two have a folder each, so that nothing
 * which crosses the wall can pose as a ledger.
 */
Map bake(Map one) {
    dir('compiled') { unstash(one.compiled.stash) }
    try {
        jenkinsAmi.inCloud(one) { build(one) }
    } finally {
        jenkinsAmi.afterwards('There is no report.') {
            jenkinsAmi.exec('report', [folder: ['compiled', one.folder], output: "${one.folder}/report"])
        }
        jenkinsAmi.keep(one.folder)
        if (one.test) {
            jenkinsAmi.afterwards('The test results could not be recorded.') { record("${one.folder}/tests.xml") }
        }
    }
    return resultIn(one.folder) + [stash: jenkinsAmi.stashed(one.folder, 'ami.json, ami.env')]
}

/** Builds; and goes on by the ledger, instead of launching again, when the command was cut off, by a restart say. */
void build(Map one) {
    Map both = (one.local ? [local: true] : [environment: one.name]) + (one.publish ? [:] : [distribute: false]) +
        [junit: one.test ? "${one.folder}/tests.xml" : '']
    Map fresh = both + [target: 'compiled', output: one.folder, reuse: one.reuse, test: one.test]
    int code = jenkinsAmi.status('build', fresh)
    for (int again = 0; again < RESUMES && code in CUT_OFF; again++) {
        boolean resume = code != 130 && fileExists("${one.folder}/ledger.jsonl")
        echo("The build was cut off: ${resume ? 'going on with what its ledger lists' : 'once more'}.")
        code = jenkinsAmi.status('build', resume ? both + [resume: one.folder] : fresh)
    }
    if (code != 0) {
        if (fileExists("${one.folder}/ami.json")) { // it is there, and a region has failed
            show(resultIn(one.folder))
        }
        jenkinsAmi.fail('build', code)
    }
}

void record(String results) {
    jenkinsAmi.optional('junit', { junit(testResults: results, allowEmptyResults: true) }, { })
}

/** Description, display name and environment of the build show the image. */
void show(Map ami) {
    String name = jenkinsAmi.oneLine(ami.imageName)
    String ids = ami.images.collect { region, id -> "${id} (${region})" }.join(', ')
    currentBuild.displayName = "${currentBuild.displayName} ${name}"
    jenkinsAmi.describe("${name}: ${ids}${ami.reused ? ', reused' : ''}")
    env.AMIID = ami.amiId
    env.AMINAME = ami.imageName
    env.AMIREGION = ami.region
}

/** What of the ami.json in a folder the step returns. */
Map resultIn(String folder) {
    return idsOf(jenkinsAmi.plain(readFile("${folder}/ami.json")))
}

@NonCPS
Map idsOf(Map json) {
    Map images = json.images.collectEntries { region, image -> [(region): image.image_id] }
    return [
        name: json.name, version: json.version, build: json.build, imageName: json.image_name,
        environment: json.environment, region: json.region, amiId: images[json.region], images: images,
        reused: json.reused,
    ]
}
