/*
 * The gate on a pull request: judged as the next run after the history of its target branch up to the merge base, and a
 * performance regression is red.
 */
Map call(Map params = [:]) {
    return ciDisagg([mode: 'pr'] + params)
}
