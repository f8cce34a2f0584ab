package harness

import com.cloudbees.groovy.cps.Outcome

/** A step under way. What it must remember lies in {@code state}: a restart may come at any time. */
class Call implements Serializable {
    /** What a step's method returns that is not done yet. */
    static final Object WAITS = new Object()

    final int id
    final String name
    final Map arguments
    final Closure body
    final Place place
    final Map state = [:]
    /** When it wants to go on, in milliseconds of the clock. */
    Long wakeAt

    Call(int id, String name, Map arguments, Closure body, Place place) {
        this.id = id
        this.name = name
        this.arguments = arguments
        this.body = body
        this.place = place
    }

    void note() {
        build.note(step: name, arguments: arguments, agent: place.agent, stage: place.stage)
    }

    Engine getEngine() { Engine.current }

    Build getBuild() { Engine.current.build }

    File file(String path = '.') { place.file(path) }

    Map<String, String> getEnvironment() { place.environment(build) }

    /** Runs the body, or another closure, there; {@code after_NAME} gets what comes of it. */
    Object enter(Map changes = [:], Closure closure = body, String branch = null) {
        engine.enter(this, closure, place + changes, branch)
        return WAITS
    }

    Object enter(Place there) {
        engine.enter(this, body, there, null)
        return WAITS
    }

    /** Waits for as long, in seconds of a build whose minutes may be shorter; then {@code woken_NAME} is called. */
    Object pause(BigDecimal seconds) {
        wakeAt = System.currentTimeMillis() + ((seconds * build.spec.minute / 60 * 1000) as long)
        return WAITS
    }

    void finish(Object value) { engine.complete(id, new Outcome(value, null)) }

    void fail(Throwable failure) { engine.complete(id, new Outcome(null, failure)) }
}
