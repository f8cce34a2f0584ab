package harness

/** The steps that the harness plays: their parameters, and what Jenkins must have for them. */
class Catalogue {
    /** Each step's parameters; the first is the one that needs no name. */
    static final Map<String, List<String>> PARAMETERS = [
        archiveArtifacts: ['artifacts', 'excludes', 'allowEmptyArchive', 'fingerprint', 'onlyIfSuccessful',
                           'followSymlinks', 'caseSensitive', 'defaultExcludes'],
        build           : ['job', 'parameters', 'propagate', 'wait', 'quietPeriod'],
        catchError      : ['message', 'buildResult', 'stageResult', 'catchInterruptions'],
        checkout        : ['scm', 'poll', 'changelog'],
        cleanWs         : ['deleteDirs', 'notFailBuild', 'patterns'],
        deleteDir       : [],
        dir             : ['path'],
        echo            : ['message'],
        error           : ['message'],
        fileExists      : ['file'],
        fingerprint     : ['targets', 'excludes', 'caseSensitive'],
        git             : ['url', 'branch', 'credentialsId', 'poll', 'changelog'],
        input           : ['message', 'id', 'ok', 'parameters', 'submitter', 'submitterParameter', 'cancel'],
        isUnix          : [],
        junit           : ['testResults', 'allowEmptyResults', 'skipMarkingBuildUnstable', 'skipPublishingChecks',
                           'keepLongStdio', 'healthScaleFactor', 'checksName', 'skipOldReports', 'keepTestNames'],
        library         : ['identifier', 'retriever', 'changelog'],
        libraryResource : ['resource', 'encoding'],
        load            : ['path'],
        lock            : ['resource', 'label', 'quantity', 'variable', 'extra', 'inversePrecedence', 'skipIfLocked',
                           'priority', 'reason', 'resourceSelectStrategy'],
        milestone       : ['ordinal', 'label'],
        node            : ['label'],
        parallel        : null,
        pipeline        : [],
        properties      : ['properties'],
        publishHTML     : ['target', 'allowMissing', 'alwaysLinkToLastBuild', 'keepAll', 'reportDir', 'reportFiles',
                           'reportName', 'reportTitles', 'includes'],
        pwd             : ['tmp'],
        readFile        : ['file', 'encoding'],
        retry           : ['count', 'conditions'],
        script          : [],
        setGerritReview : ['unsuccessfulMessage', 'customUrl'],
        sh              : ['script', 'label', 'returnStatus', 'returnStdout', 'encoding'],
        sleep           : ['time', 'unit'],
        stage           : ['name', 'concurrency'],
        stash           : ['name', 'includes', 'excludes', 'allowEmpty', 'useDefaultExcludes'],
        throttle        : ['categories'],
        timeout         : ['time', 'unit', 'activity'],
        timestamps      : [],
        tool            : ['name', 'type'],
        unstable        : ['message'],
        unstash         : ['name'],
        waitUntil       : ['initialRecurrencePeriod', 'quiet'],
        warnError       : ['message', 'catchInterruptions'],
        withCredentials : ['bindings'],
        withEnv         : ['overrides'],
        writeFile       : ['file', 'text', 'encoding'],
    ]
    /**
     * These do all that they do while they are called, and the program is not suspended: @NonCPS code may call them.
     */
    static final List<String> AT_ONCE = ['echo', 'error', 'isUnix', 'milestone', 'properties', 'pwd', 'unstable']
    static final List<String> BLOCKS = ['catchError', 'dir', 'lock', 'node', 'pipeline', 'retry', 'script', 'throttle',
        'timeout', 'timestamps', 'waitUntil', 'warnError', 'withCredentials', 'withEnv']
    /** Steps of plugins that a Jenkins may lack. */
    static final List<String> OPTIONAL = ['cleanWs', 'junit', 'lock', 'publishHTML', 'setGerritReview', 'throttle',
        'timestamps']
    /** Things that are made, not done: arguments of steps. */
    static final List<String> SYMBOLS = ['agent', 'booleanParam', 'buildDiscarder', 'choice', 'cron',
        'disableConcurrentBuilds', 'gerrit', 'legacySCM', 'logRotator', 'nonresumable', 'parameters', 'password',
        'pipelineTriggers', 'pollSCM', 'scmGit', 'string', 'text', 'usernamePassword']
    /** Arguments that must be texts, with the class that Jenkins names when they are not. */
    static final Map<String, Map<String, String>> TEXTS = [
        dir      : [path: 'PushdStep'],
        echo     : [message: 'EchoStep'],
        error    : [message: 'ErrorStep'],
        readFile : [file: 'ReadFileStep'],
        sh       : [script: 'durable_task.ShellStep', label: 'durable_task.ShellStep'],
        writeFile: [file: 'WriteFileStep', text: 'WriteFileStep'],
    ]

    /** The steps of a Jenkins with these plugins. */
    static List<String> known(List plugins) { PARAMETERS.keySet() - (OPTIONAL - plugins) as List }
}
