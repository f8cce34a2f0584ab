package harness

/** All that is saved of a running build: its strands, and what steps hold for it. */
class Program implements Serializable {
    /** By their numbers, the oldest first. */
    final Map<Integer, Strand> strands = [:]
    /** Workspaces in use. */
    final Set<File> leased = new LinkedHashSet<File>()
    /** Locks and the calls that hold them. */
    final Map<String, Integer> locks = [:]
    int lastNumber

    int number() { ++lastNumber }

    /** The strands that run a call's bodies. */
    List<Strand> bodiesOf(Call call) { strands.values().findAll { it.owner == call.id } }

    /** The innermost strands below a call, or of the whole program. */
    List<Strand> leaves(Call call = null) {
        if (call == null) {
            return strands.values().findAll { it.call == null || !bodiesOf(it.call) }
        }
        return bodiesOf(call).collectMany { Strand body ->
            body.call != null && bodiesOf(body.call) ? leaves(body.call) : [body]
        }
    }
}
