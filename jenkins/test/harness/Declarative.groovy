package harness

/** Plays a declarative pipeline: as much of it as the examples use, anything else is an error. */
class Declarative {
    private final Pipeline jenkins

    Declarative(Pipeline jenkins) { this.jenkins = jenkins }

    Object run(Closure body) {
        Section top = read(body)
        inside(top, 'pipeline')
        return null
    }

    static Section read(Closure body) {
        Section s = new Section()
        Closure c = (Closure) body.clone()
        c.delegate = s
        c.resolveStrategy = Closure.DELEGATE_FIRST
        c()
        return s
    }

    private void inside(Section s, String what) {
        Closure work = {
            if (s.parts.options) {
                ((Closure) s.parts.options).clone().call()
            }
            if (s.parts.triggers) {
                ((Closure) s.parts.triggers).clone().call()
            }
            Throwable thrown
            try {
                content(s)
            } catch (Throwable t) {
                thrown = t
                jenkins.currentBuild.result = t instanceof FlowInterruptedException ? 'ABORTED' : 'FAILURE'
            }
            after(s)
            if (thrown) {
                throw thrown
            }
        }
        Closure onAgent = work
        if (s.parts.agent instanceof Closure) {
            onAgent = { jenkins.step('node', [read((Closure) s.parts.agent).parts.label, work] as Object[]) }
        }
        if (s.parts.environment) {
            Env extra = new Env()
            Closure c = (Closure) ((Closure) s.parts.environment).clone()
            c.delegate = extra
            c.resolveStrategy = Closure.DELEGATE_FIRST
            c()
            jenkins.step('withEnv', [extra.values.collect { k, v -> "${k}=${v}".toString() }, onAgent] as Object[])
        } else {
            onAgent()
        }
    }

    private void content(Section s) {
        if (s.parts.steps) {
            ((Closure) s.parts.steps).call()
        }
        if (s.parts.matrix) {
            matrix(read((Closure) s.parts.matrix))
        }
        if (s.parts.stages) {
            read((Closure) s.parts.stages).stageList.each { Map st -> inside(read((Closure) st.body), st.name.toString()) }
        }
    }

    /** Cells one after the other. A cell that fails does not stop the others. */
    private void matrix(Section m) {
        Throwable first
        List<Map> axes = read((Closure) m.parts.axes).axisList
        List<List> cells = axes.collect { a -> (a.values instanceof List ? a.values : [a.values]).collect { v -> [a.name, v] } }.combinations()
        cells.each { List cell ->
            List vars = cell.collect { pair -> "${pair[0]}=${pair[1]}".toString() }
            try {
                jenkins.step('withEnv', [vars, { inside(lazily(m), 'cell') }] as Object[])
            } catch (Throwable t) {
                first = first ?: t
            }
        }
        if (first) {
            throw first
        }
    }

    /** The cell's own copy: its agent may name the axis. */
    private static Section lazily(Section m) {
        Section s = new Section()
        ['agent', 'stages', 'post', 'environment', 'options'].each { k ->
            if (m.parts.containsKey(k)) {
                s.parts[k] = m.parts[k]
            }
        }
        return s
    }

    private void after(Section s) {
        if (!s.parts.post) {
            return
        }
        Map p = read((Closure) s.parts.post).parts
        String result = jenkins.currentBuild.currentResult
        ['always', 'failure', 'unstable', 'unsuccessful', 'success'].each { String k ->
            boolean due = k == 'always' || k == result.toLowerCase() || k == 'unsuccessful' && result != 'SUCCESS'
            if (p[k] && due) {
                ((Closure) p[k]).call()
            }
        }
    }
}
