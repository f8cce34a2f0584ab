package harness

/** What a Jenkinsfile and a vars file are: a script whose unknown methods are library steps, then pipeline steps. */
abstract class PipelineScript extends Script {
    def methodMissing(String name, Object arguments) {
        Build build = binding.build
        Script step = build.library[name]
        return step != null ? step.invokeMethod('call', arguments) : build.steps.invoke(name, arguments as List)
    }

    def propertyMissing(String name) {
        Build build = binding.build
        if (build.library.containsKey(name)) {
            return build.library[name]
        }
        if (build.globals.containsKey(name)) {
            return build.globals[name]
        }
        throw new MissingPropertyException(name, getClass())
    }
}
