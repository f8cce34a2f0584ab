package harness

import static java.nio.file.StandardCopyOption.COPY_ATTRIBUTES
import static java.nio.file.StandardCopyOption.REPLACE_EXISTING

import groovy.io.FileType
import hudson.AbortException
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path

/** Steps on files of the agent. */
class FileSteps {
    /** What Ant leaves out, and so do stash and archiveArtifacts unless told otherwise. */
    private static final String DEFAULT_EXCLUDES = [
        '*~', '#*#', '.#*', '%*%', '._*', 'CVS', '.cvsignore', '.svn', '.git', '.gitattributes', '.gitignore',
        '.gitmodules', '.hg', '.hgignore', '.bzr', '.bzrignore', '.DS_Store',
    ].collect { "${it},${it}/**,**/${it},**/${it}/**" }.join(',')

    def deleteDir(Call call) {
        call.file().deleteDir()
        return null
    }

    def cleanWs(Call call) {
        call.file()
        call.place.workspace.deleteDir()
        return null
    }

    def fileExists(Call call) { call.file(call.arguments.file).exists() }

    def pwd(Call call) {
        call.file()
        return call.arguments.tmp ? "${call.place.workspace}@tmp".toString() : call.file().path
    }

    def readFile(Call call) {
        File file = call.file(call.arguments.file)
        if (!file.exists()) {
            throw new java.nio.file.NoSuchFileException(file.path)
        }
        return call.arguments.encoding == 'Base64' ? file.bytes.encodeBase64().toString() : file.getText('UTF-8')
    }

    def writeFile(Call call) {
        File file = call.file(call.arguments.file)
        file.parentFile.mkdirs()
        if (call.arguments.encoding == 'Base64') {
            file.bytes = call.arguments.text.decodeBase64()
        } else {
            file.setText(call.arguments.text, 'UTF-8')
        }
        return null
    }

    def stash(Call call) {
        File stash = new File(call.build.home, "stashes/${call.arguments.name}")
        stash.deleteDir()
        boolean all = call.arguments.useDefaultExcludes == false
        int copied = copy(call, call.arguments.includes ?: '**', stash, all)
        if (copied == 0 && !call.arguments.allowEmpty) {
            throw new AbortException("No files included in stash ‘${call.arguments.name}’")
        }
        stash.mkdirs()
        call.build.say("Stashed ${copied} file(s)")
        return null
    }

    def unstash(Call call) {
        File stash = new File(call.build.home, "stashes/${call.arguments.name}")
        if (!stash.exists()) {
            throw new AbortException("No such saved stash ‘${call.arguments.name}’")
        }
        call.file().mkdirs()
        Commands.run('cp', '-a', "${stash}/.", call.file())
        return null
    }

    def archiveArtifacts(Call call) {
        String wanted = call.arguments.artifacts
        if (copy(call, wanted, new File(call.build.home, 'archive'), call.arguments.defaultExcludes == false) == 0) {
            String problem = "No artifacts found that match the file pattern \"${wanted}\". Configuration error?"
            if (!call.arguments.allowEmptyArchive) {
                throw new AbortException(problem)
            }
            call.build.say(problem)
        }
        return null
    }

    def fingerprint(Call call) {
        call.file()
        return null
    }

    def publishHTML(Call call) {
        call.file()
        return null
    }

    def junit(Call call) {
        File folder = new File(call.build.home, 'junit')
        folder.deleteDir()
        Map sums = [totalCount: 0, failCount: 0, skipCount: 0]
        if (copy(call, call.arguments.testResults, folder, true) == 0) {
            String problem = 'No test report files were found. Configuration error?'
            if (!call.arguments.allowEmptyResults) {
                throw new AbortException(problem)
            }
            call.build.say(problem)
            return sums + [passCount: 0]
        }
        folder.eachFileRecurse(FileType.FILES) { File report ->
            new XmlSlurper().parse(report).'**'.findAll { it.name() == 'testcase' }.each { test ->
                boolean failed = test.failure.size() + test.error.size() > 0
                sums.totalCount++
                sums.failCount += failed ? 1 : 0
                sums.skipCount += test.skipped.size() ? 1 : 0
                call.build.record.tests << [name: test.@name.text(), suite: test.@classname.text(), failed: failed]
            }
        }
        if (sums.failCount && !call.arguments.skipMarkingBuildUnstable) {
            call.build.setResult('UNSTABLE')
        }
        return sums + [passCount: sums.totalCount - sums.failCount - sums.skipCount]
    }

    /** Copies the files that match, with their paths and modes; returns how many that were. */
    private static int copy(Call call, String includes, File target, boolean all) {
        def matchers = { String globs ->
            globs.tokenize(', ').collect { String glob ->
                FileSystems.default.getPathMatcher("glob:${glob.endsWith('/') ? "${glob}**" : glob}")
            }
        }
        List wanted = matchers(includes)
        // Ant's **/ matches no folder as well, Java's does not.
        wanted += matchers(includes.replaceAll(/\*\*\//, ''))
        List unwanted = matchers(call.arguments.excludes ?: '') + matchers(all ? '' : DEFAULT_EXCLUDES)
        File root = call.file()
        int copied = 0
        if (root.exists()) {
            root.eachFileRecurse(FileType.FILES) { File source ->
                Path path = root.toPath().relativize(source.toPath())
                if (wanted.any { it.matches(path) } && !unwanted.any { it.matches(path) }) {
                    File copy = target.toPath().resolve(path).toFile()
                    copy.parentFile.mkdirs()
                    Files.copy(source.toPath(), copy.toPath(), COPY_ATTRIBUTES, REPLACE_EXISTING)
                    copied++
                }
            }
        }
        return copied
    }
}
