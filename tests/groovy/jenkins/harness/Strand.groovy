package harness

import com.cloudbees.groovy.cps.Continuable
import com.cloudbees.groovy.cps.Outcome

/** One line of execution: the script itself, or the body of a step. */
class Strand implements Serializable {
    final int id
    /** The call whose body this is; none for the script. */
    final Integer owner
    final String branch
    final Place place
    final Continuable rest
    /** What it goes on with; none while it waits for its call. */
    Outcome next
    int since
    Call call

    Strand(int id, Integer owner, String branch, Place place, Continuable rest) {
        this.id = id
        this.owner = owner
        this.branch = branch
        this.place = place
        this.rest = rest
    }
}
