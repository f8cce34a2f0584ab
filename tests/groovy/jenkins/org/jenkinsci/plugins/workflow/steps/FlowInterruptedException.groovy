package org.jenkinsci.plugins.workflow.steps

/** What a step throws when its build is aborted or its time is up. */
class FlowInterruptedException extends InterruptedException {
    final String result

    FlowInterruptedException(String cause, String result = 'ABORTED') {
        super(cause)
        this.result = result
    }
}
