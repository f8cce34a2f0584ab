package org.jenkinsci.plugins.workflow.steps

/** What a step throws that needs an agent and has none. */
class MissingContextVariableException extends Exception {
    MissingContextVariableException(String type) { super("Required context class ${type} is missing") }
}
