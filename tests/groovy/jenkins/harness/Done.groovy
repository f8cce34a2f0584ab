package harness

import com.cloudbees.groovy.cps.Block
import com.cloudbees.groovy.cps.Continuation
import com.cloudbees.groovy.cps.Env
import com.cloudbees.groovy.cps.Next

/** A program that is through already. */
class Done implements Block {
    private final Object value

    Done(Object value) { this.value = value }

    Next eval(Env env, Continuation rest) { rest.receive(value) }
}
