package harness

/** {@code when { }}: all of it must hold. */
class Conditions implements Serializable {
    static final List<String> INPUT = ['message', 'id', 'ok', 'submitter', 'submitterParameter']
    private final List conditions = []

    void expression(Closure body) { conditions << body }

    void environment(Map expected) { conditions << (Engine.current.environment[expected.name] == expected.value) }

    void branch(String name) { conditions << (Engine.current.environment.BRANCH_NAME == name) }

    List getAll() { conditions }
}
