package org.jenkinsci.plugins.scriptsecurity.sandbox

/** What the sandbox throws: an ordinary exception, that a {@code catch (Exception e)} swallows. */
class RejectedAccessException extends SecurityException {
    RejectedAccessException(String message) { super(message) }
}
