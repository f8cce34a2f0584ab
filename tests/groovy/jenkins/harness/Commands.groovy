package harness

/** Commands that the harness runs for itself. */
class Commands {
    static String run(Object... words) {
        def process = words*.toString().execute()
        def output = new StringBuilder()
        def errors = new StringBuilder()
        process.waitForProcessOutput(output, errors)
        if (process.exitValue() != 0) {
            throw new IOException("${words}: ${errors}")
        }
        return output.toString()
    }
}
