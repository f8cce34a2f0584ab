package harness

/** As much of Declarative Pipeline as a Jenkinsfile around the library's steps needs; what it does not know, fails. */
class Declarative {
    private final Build build
    private final Steps steps
    private final boolean nested
    private String agent
    private Map<String, Closure> stages = [:]
    private Map<String, Closure> post = [:]
    private Closure work

    Declarative(Build build, Steps steps, boolean nested = false) {
        this.build = build
        this.steps = steps
        this.nested = nested
    }

    def run(Closure body) {
        String outer = build.currentResult
        read(body, this)
        if (!nested && agent == null) {
            throw new MissingPropertyException('Missing required section "agent"')
        }
        Closure all = {
            boolean failed = true
            try {
                stages.each { name, closure ->
                    steps.invoke('stage', [name, { new Declarative(build, steps, true).run(closure) }])
                }
                work?.call()
                failed = build.currentResult != outer
            } finally {
                post.each { condition, closure ->
                    if (condition == 'always' || condition == (failed ? 'failure' : 'success')) {
                        closure.call()
                    }
                }
            }
        }
        return agent in [null, 'none'] ? all() : steps.invoke('node', [agent, {
            steps.invoke('checkout', [build.globals.scm])
            all()
        }])
    }

    private static void read(Closure body, Object sections) {
        Closure reader = (Closure) body.clone()
        reader.delegate = sections
        reader.resolveStrategy = Closure.DELEGATE_FIRST
        reader.call()
    }

    void agent(String name) { agent = name }

    void agent(Closure body) { read(body, new Label(this)) }

    void options(Closure body) { read(body, new Options()) }

    void stages(Closure body) { read(body, this) }

    void stage(String name, Closure body) { stages[name] = body }

    void steps(Closure body) {
        work = body
        work.delegate = body.thisObject
        work.resolveStrategy = Closure.DELEGATE_FIRST
    }

    void post(Closure body) { read(body, this) }

    void always(Closure body) { post.always = body }

    void success(Closure body) { post.success = body }

    void failure(Closure body) { post.failure = body }

    String getAny() { 'any' }

    String getNone() { 'none' }

    static class Label {
        private final Declarative owner

        Label(Declarative owner) { this.owner = owner }

        void label(String name) { owner.agent = name }
    }

    static class Options {
        void timestamps() { }

        void disableConcurrentBuilds() { }

        void timeout(Map limit) { }

        void buildDiscarder(Map strategy) { }
    }
}
