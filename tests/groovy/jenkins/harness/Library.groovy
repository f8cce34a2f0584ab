package harness

import hudson.AbortException

/** The shared library: what it has, once it is loaded. */
class Library {
    /** Makes the steps of a library known. */
    static void load(Build build, String identifier) {
        List words = identifier.tokenize('@')
        String name = words[0]
        if (name != build.spec.library.name) {
            throw new AbortException("No library named ${name} found")
        }
        build.record.libraries << name
        build.record.variables["library.${name}.version".toString()] = words[1] ?: 'main'
    }

    static boolean knows(Build build, String step) {
        build.record.libraries && new File((String) build.spec.library.vars, "${step}.groovy").isFile()
    }

    static File resource(Build build, String path) {
        File file = new File((String) build.spec.library.resources, path)
        if (!build.record.libraries || !file.isFile()) {
            throw new AbortException("No such library resource ${path} could be found.")
        }
        return file
    }
}
