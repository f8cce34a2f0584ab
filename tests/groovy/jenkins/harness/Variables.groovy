package harness

/** {@code environment { NAME = value }}. */
class Variables implements Serializable {
    private final Map<String, String> values = [:]

    void setProperty(String name, Object value) {
        if (value instanceof Map) {
            Map found = value.found
            values[name] = found.kind == 'string' ? found.secret : "${found.name}:${found.secret}".toString()
            if (found.kind == 'usernamePassword') {
                values["${name}_USR".toString()] = found.name
                values["${name}_PSW".toString()] = found.secret
            }
        } else {
            values[name] = value.toString()
        }
    }

    Object getProperty(String name) {
        if (!values.containsKey(name)) {
            throw new MissingPropertyException(name, Variables)
        }
        return values[name]
    }

    Map credentials(String id) {
        Map found = Engine.current.build.spec.credentials[id]
        if (found == null) {
            throw new hudson.AbortException("Could not find credentials entry with ID '${id}'")
        }
        return [found: found]
    }

    /** As withEnv takes them, which replaces {@code $NAME} in them. */
    List<String> pairs() { values.collect { name, value -> "${name}=${value.replace('$', '$$')}".toString() } }
}
