package harness

import com.cloudbees.groovy.cps.impl.Caller
import groovy.transform.CompileStatic

/**
 * Iterators and views of collections that can be saved, a category over all CPS code: Java's own cannot. Entries are
 * copies, save for those of {@code for (e in map)}, which Jenkins leaves as they are.
 */
@CompileStatic
class Iterators {
    static Iterator iterator(List list) { new Position(list) }

    static Iterator iterator(Set set) { new Position(new ArrayList(set)) }

    static Iterator iterator(Object[] array) { new Position(Arrays.asList(array)) }

    static Set entrySet(Map map) {
        if (!asynchronous(map, 'entrySet')) {
            return map.entrySet()
        }
        Set entries = new LinkedHashSet()
        for (Object entry : map.entrySet()) {
            entries.add(new AbstractMap.SimpleImmutableEntry((Map.Entry) entry))
        }
        return entries
    }

    static Set keySet(Map map) { asynchronous(map, 'keySet') ? new LinkedHashSet(map.keySet()) : map.keySet() }

    static Collection values(Map map) {
        asynchronous(map, 'values') ? new ArrayList((Collection) map.values()) : map.values()
    }

    private static boolean asynchronous(Map map, String name) {
        Caller.isAsynchronous(map, name) || Caller.isAsynchronous(Iterators, name, map)
    }

    /** A place in a list. */
    @CompileStatic
    private static class Position implements Iterator, Serializable {
        private final List list
        private int next

        Position(List list) { this.list = list }

        boolean hasNext() { next < list.size() }

        Object next() {
            if (next >= list.size()) {
                throw new NoSuchElementException()
            }
            return list.get(next++)
        }

        void remove() { list.remove(--next) }
    }
}
