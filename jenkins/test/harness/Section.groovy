package harness

/** What is written in a block: its sections by name, nested blocks as closures. */
class Section {
    static final List<String> NAMES = ['agent', 'options', 'triggers', 'stages', 'stage', 'steps', 'post', 'environment', 'matrix', 'axes', 'axis',
                                       'name', 'values', 'label', 'always', 'failure', 'unstable', 'unsuccessful', 'success', 'failFast']

    final Map<String, Object> parts = [:]
    final List<Map> stageList = []
    final List<Map> axisList = []
    Object any = 'any'
    Object none = 'none'

    Object methodMissing(String name, Object args) {
        Object[] given = args as Object[]
        switch (name) {
            case 'stage':
                stageList << [name: given[0], body: given[1]]
                return null
            case 'axis':
                axisList << Declarative.read((Closure) given[0]).parts
                return null
            case NAMES:
                parts.put(name, given.length == 1 ? given[0] : given.toList())
                return null
            default:
                throw new MissingMethodException(name, Section, given)
        }
    }
}
