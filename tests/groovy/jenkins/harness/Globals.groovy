package harness

import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** What every script finds: env, currentBuild, scm. They hold nothing, so a program may hold them over a restart. */
class Globals {
    static final Environment ENVIRONMENT = new Environment()
    static final CurrentBuild CURRENT_BUILD = new CurrentBuild()
    static final Scm SCM = new Scm()

    /** {@code scm}: the repository that the Jenkinsfile came from. */
    static class Scm implements Serializable {
    }

    /** {@code env}: the environment where the script is now; assignments hold for the whole build. */
    static class Environment implements Serializable {
        Object getProperty(String name) { Engine.current.environment[name] }

        void setProperty(String name, Object value) {
            Engine.current.build.record.variables[name] = value == null ? '' : value.toString()
        }

        Map<String, String> getEnvironment() { Engine.current.environment }

        Object getAt(String name) { getProperty(name) }

        void putAt(String name, Object value) { setProperty(name, value) }

        Iterator iterator() { Engine.current.environment.iterator() }
    }

    /** {@code currentBuild}. */
    static class CurrentBuild implements Serializable {
        private static Map getRecord() { Engine.current.build.record }

        String getResult() { record.result }

        void setResult(String result) { Engine.current.build.setResult(result) }

        void failedBy(Throwable failure) {
            setResult(failure instanceof FlowInterruptedException ? failure.result : 'FAILURE')
        }

        String getCurrentResult() { record.result ?: 'SUCCESS' }

        boolean resultIsBetterOrEqualTo(String other) {
            Build.RESULTS.indexOf(currentResult) <= Build.RESULTS.indexOf(other)
        }

        boolean resultIsWorseOrEqualTo(String other) {
            Build.RESULTS.indexOf(currentResult) >= Build.RESULTS.indexOf(other)
        }

        String getDisplayName() { record.displayName }

        void setDisplayName(String name) { record.displayName = name }

        String getDescription() { record.description }

        void setDescription(String text) { record.description = text }

        void setKeepLog(boolean keep) { record.keepLog = keep }

        int getNumber() { record.number }

        String getId() { record.number.toString() }

        String getProjectName() { 'job' }

        String getFullProjectName() { 'job' }

        String getFullDisplayName() { "job ${record.displayName}" }

        String getAbsoluteUrl() { Engine.current.build.defaults.BUILD_URL }

        long getStartTimeInMillis() { record.started }

        long getTimeInMillis() { record.started }

        /** In a build whose minutes are shorter, as long as it would be otherwise. */
        long getDuration() { (System.currentTimeMillis() - record.started) * 60 / Engine.current.build.spec.minute }

        String getDurationString() { "${duration.intdiv(1000)} sec and counting" }

        Object getPreviousBuild() { null }

        List getUpstreamBuilds() { [] }

        List getChangeSets() { [] }

        Map getBuildVariables() { Engine.current.build.spec.params + record.variables }

        List getBuildCauses(String type = null) {
            type in [null, 'hudson.model.Cause$UserIdCause'] ? [[_class: 'hudson.model.Cause$UserIdCause',
                shortDescription: 'Started by user somebody', userId: 'somebody', userName: 'somebody']] : []
        }

        /** For trusted code only. */
        Map getRawBuild() { [number: record.number] }
    }
}
