package org.jenkinsci.plugins.workflow.cps

import com.cloudbees.groovy.cps.Block
import com.cloudbees.groovy.cps.Env
import com.cloudbees.groovy.cps.impl.CpsClosure
import org.codehaus.groovy.runtime.InvokerHelper

/** A closure of a pipeline. What Groovy gives to every object, and a script has as a step, goes to the script. */
class CpsClosure2 extends CpsClosure {
    CpsClosure2(Object owner, Object thisObject, List<String> parameters, Block body, Env capture) {
        super(owner, thisObject, parameters, body, capture)
    }

    Object sleep(long seconds) { InvokerHelper.invokeMethod(owner, 'sleep', seconds) }

    void print(Object text) { InvokerHelper.invokeMethod(owner, 'print', text) }

    void println(Object text) { InvokerHelper.invokeMethod(owner, 'println', text) }

    void println() { InvokerHelper.invokeMethod(owner, 'println', new Object[0]) }

    void printf(String format, Object value) {
        InvokerHelper.invokeMethod(owner, 'printf', [format, value] as Object[])
    }
}
