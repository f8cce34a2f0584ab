// Runs builds, one after the other: groovy -cp jenkins harness.groovy SPEC.json... (conftest.py writes the files).
import groovy.json.JsonSlurper
import harness.Build

args.each { file ->
    Map spec = (Map) new JsonSlurper().parse(new File(file), 'UTF-8')
    // Saving a program follows all that it holds, as deep as that goes.
    def thread = new Thread(null, { Build.run(spec) }, spec.home, 512L << 20)
    thread.uncaughtExceptionHandler = { broken, failure ->
        failure.printStackTrace()
        System.exit(1)
    }
    thread.start()
    thread.join()
}
