package harness

import hudson.AbortException

/** Steps that bring sources: of the build's repository, of others, of the library. */
class SourceSteps {
    def checkout(Call call) {
        call.file().mkdirs()
        Map spec = call.build.spec
        if (call.arguments.scm instanceof Map) {
            return cloned(call, call.arguments.scm)
        }
        assert call.arguments.scm instanceof Globals.Scm
        Commands.run('cp', '-a', "${spec.repository}/.", call.file())
        return [GIT_COMMIT: spec.commit, GIT_BRANCH: 'origin/main', GIT_URL: "file://${spec.repository}".toString()]
    }

    def git(Call call) {
        Map a = call.arguments
        call.file().mkdirs()
        return cloned(call, [$class: 'GitSCM', branches: [[name: "refs/heads/${a.branch ?: 'master'}".toString()]],
            userRemoteConfigs: [a.subMap(['url', 'credentialsId'])]])
    }

    /**
     * As the Git plugin does it: variables are expanded, unknown credentials are a warning, a branch is the remote's.
     */
    private static Map cloned(Call call, Map scm) {
        assert scm.$class in ['GitSCM', 'scmGit'] && !(scm.keySet() - ['$class', 'branches', 'userRemoteConfigs'])
        assert scm.branches.size() == 1 && scm.userRemoteConfigs.size() == 1
        Map remote = scm.userRemoteConfigs[0]
        assert !(remote.keySet() - ['url', 'refspec', 'credentialsId', 'name'])
        def expand = { String text -> Place.expanded(text, call.environment) }
        if (remote.credentialsId && !call.build.spec.credentials[remote.credentialsId]) {
            call.build.say("Warning: CredentialId \"${remote.credentialsId}\" could not be found.")
        }
        def git = { Object... words -> Commands.run('git', '-C', call.file(), *words) }
        git('init', '-q')
        git('fetch', '-q', '--', expand(remote.url), '+refs/heads/*:refs/remotes/origin/*')
        if (remote.refspec) {
            git('fetch', '-q', '--', expand(remote.url), expand(remote.refspec))
        }
        String commit = expand(scm.branches[0].name).replaceFirst('^refs/heads/', 'refs/remotes/origin/')
        git('checkout', '-q', '--detach', commit)
        return [GIT_COMMIT: new File(call.file(), '.git/HEAD').text.trim(), GIT_URL: expand(remote.url)]
    }

    def library(Call call) {
        Library.load(call.build, call.arguments.identifier)
        return null
    }

    def libraryResource(Call call) {
        File resource = Library.resource(call.build, call.arguments.resource)
        return call.arguments.encoding == 'Base64' ? resource.bytes.encodeBase64().toString()
            : resource.getText('UTF-8')
    }

    def load(Call call) {
        File file = call.file(call.arguments.path)
        Script script = call.engine.script(file.name, file.getText('UTF-8'))
        call.engine.enter(call, script, call.place)
        return Call.WAITS
    }

    def tool(Call call) { throw new AbortException("No tool named ${call.arguments.name} found") }
}
