package harness

/**
 * What a section of Declarative says, as far as it only names things: {@code options}, {@code parameters}, and so on.
 */
class Collector implements Serializable {
    final List<List> calls = []
    private final List<String> names

    Collector(List<String> names) { this.names = names }

    Object invokeMethod(String name, Object arguments) {
        if (!(name in names)) {
            return Steps.INSTANCE.invokeMethod(name, arguments)
        }
        calls << [name, arguments as List]
        return null
    }
}
