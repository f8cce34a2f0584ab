package harness

import groovy.transform.CompileStatic
import java.util.concurrent.BlockingQueue
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/**
 * What goes on outside of the controller, and on while that restarts: the agents' processes, people, the log's readers.
 * All that happens there reaches the engine as an event: {@code [kind: 'exit', call:, status:, output:]},
 * {@code [kind: 'abort']}, {@code [kind: 'restart']}.
 */
@CompileStatic
class World {
    private final Map spec
    private final File log
    private final BlockingQueue<Map> events = new LinkedBlockingQueue<Map>()
    private final Map<Integer, Process> processes = Collections.synchronizedMap([:] as Map<Integer, Process>)
    private final Set<Integer> lost = Collections.synchronizedSet([] as Set<Integer>)
    private boolean aborted
    private boolean restarted

    World(Map spec) {
        this.spec = spec
        log = new File((String) spec.home, 'console.log')
    }

    /** Writes to the build's log. Somebody may be waiting for just that. */
    synchronized void say(String text) {
        log.append("${text}\n".toString(), 'UTF-8')
        if (spec.abortAt && !aborted && text?.contains((String) spec.abortAt)) {
            aborted = true
            events.put((Map) [kind: 'abort'])
        }
        if (spec.restartAt && !restarted && text?.contains((String) spec.restartAt)) {
            restarted = true
            if (spec.restartKills) {
                lost.addAll(processes.keySet())
                processes.values().each { signal('KILL', it) }
            }
            events.put((Map) [kind: 'restart'])
        }
    }

    /** The next event, or null if none comes in the time given (milliseconds). */
    Map next(long wait) { events.poll(wait, TimeUnit.MILLISECONDS) }

    /** @return whether a process runs, or has ended and nobody was told yet */
    boolean isBusy() { processes || events }

    /** Starts a process that outlives the controller. Its output goes to the log, or into the event of its end. */
    void start(int call, List<String> words, File folder, Map<String, String> environment, boolean keepOutput) {
        def builder = new ProcessBuilder(['setsid'] + words).directory(folder)
        builder.environment().clear()
        builder.environment().putAll(environment)
        builder.redirectInput(new File('/dev/null'))
        if (keepOutput) {
            builder.redirectError(ProcessBuilder.Redirect.appendTo(log))
        } else {
            builder.redirectErrorStream(true)
        }
        Process process = builder.start()
        processes[call] = process
        Thread.startDaemon { follow(call, process, keepOutput) }
    }

    private void follow(int call, Process process, boolean keepOutput) {
        String output = ''
        if (keepOutput) {
            output = process.inputStream.getText('UTF-8')
        } else {
            process.inputStream.eachLine('UTF-8') { String line -> say(line) }
        }
        int status = process.waitFor()
        events.put((Map) [kind: 'exit', call: call, status: status, output: output, lost: lost.remove(call)])
        processes.remove(call) // last, so that there is no moment at which nothing seems to be under way
    }

    /** Asks the processes of a call to end, as an abort does. */
    void terminate(int call) {
        Process process = processes[call]
        if (process != null) {
            signal('TERM', process)
        }
    }

    private static void signal(String name, Process process) {
        new ProcessBuilder('kill', "-${name}".toString(), '--', "-${process.pid()}".toString()).start().waitFor()
    }

    /** The build is over: nothing of it may go on. */
    void close() {
        processes.values().toList().each { signal('KILL', it) }
    }
}
