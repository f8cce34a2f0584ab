package harness

import org.jenkinsci.plugins.workflow.steps.MissingContextVariableException

/** Where a part of a build is: its agent, folders, stage and environment. It is saved with the program. */
class Place implements Serializable {
    String agent
    File workspace
    File folder
    String stage
    /** What withEnv and withCredentials put over the environment, outermost first: {@code [values:, expand:]}. */
    List<Map> layers = []

    Place plus(Map changes) {
        def next = new Place(agent: agent, workspace: workspace, folder: folder, stage: stage, layers: layers)
        changes.each { name, value -> next.setProperty((String) name, value) }
        return next
    }

    Place over(Map values, boolean expand) { plus(layers: layers + [[values: values, expand: expand]]) }

    /** A file on the agent, by its path from the folder at hand. */
    File file(String path = '.') {
        if (folder == null) {
            throw new MissingContextVariableException('hudson.FilePath')
        }
        return path == '.' ? folder : path.startsWith('/') ? new File(path) : new File(folder, path)
    }

    /** The variables here, given those of the build. */
    Map<String, String> environment(Build build) {
        Map all = build.defaults
        if (agent != null) {
            all.putAll(build.spec.agents[agent])
            all.putAll(WORKSPACE: workspace.path, WORKSPACE_TMP: "${workspace.path}@tmp".toString(), NODE_NAME: agent)
        }
        all.putAll(build.variables)
        if (stage != null) {
            all.STAGE_NAME = stage
        }
        all = all.findAll { it.value != '' }
        layers.each { override(all, it.values, it.expand) }
        return all
    }

    /** As Jenkins' EnvVars do it: $NAME, ${NAME} and $$ are replaced, PATH+X goes before PATH, an empty text unsets. */
    private static void override(Map all, Map values, boolean expand) {
        values.each { String name, String text ->
            String value = expand ? expanded(text, all) : text
            String real = name.tokenize('+')[0]
            if (value == '') {
                all.remove(name)
            } else {
                all[real] = name.contains('+') && all[real] ? "${value}:${all[real]}".toString() : value
            }
        }
    }

    static String expanded(String text, Map variables) {
        text.replaceAll(/\$(?:(\$)|(\w+)|\{([\w.]+)})/) { String found, String dollar, String plain, String braced ->
            dollar ?: variables[plain ?: braced] ?: found
        }
    }
}
