package harness

import hudson.AbortException
import java.nio.file.Files

/** {@code sh}, as durable-task has it: a process on the agent that runs on when the controller does not. */
class ShellSteps {
    def sh(Call call) {
        call.file().mkdirs()
        File control = new File(call.build.home, "durable/${call.id}")
        control.mkdirs()
        File script = new File(control, 'script.sh')
        script.setText(call.arguments.script, 'UTF-8')
        boolean own = call.arguments.script.startsWith('#!')
        if (own) {
            Files.setPosixFilePermissions(script.toPath(),
                java.nio.file.attribute.PosixFilePermissions.fromString('rwx------'))
        }
        call.build.world.start(call.id, own ? [script.path] : ['sh', '-xe', script.path], call.file(), call.environment,
            call.arguments.returnStdout == true)
        return Call.WAITS
    }

    /** Its process has ended. */
    def happened_sh(Call call, Map event) {
        int status = event.status
        if (event.lost) {
            status = -1
            call.build.say("wrapper script does not seem to be touching the log file in ${call.file()}@tmp/durable")
        }
        if (call.state.cause) {
            throw call.state.cause
        }
        if (call.arguments.returnStatus) {
            return status
        }
        if (status != 0) {
            throw new AbortException("script returned exit code ${status}")
        }
        return call.arguments.returnStdout ? event.output : null
    }

    /** The step ends when its process has ended. */
    void stop_sh(Call call, Throwable cause) {
        call.build.say('Sending interrupt signal to process')
        call.state.cause = cause
        call.build.world.terminate(call.id)
    }
}
