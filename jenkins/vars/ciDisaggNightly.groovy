/*
 * The nightly run of a branch: what it measures is the history that later runs are judged by, and a performance
 * regression makes the build yellow.
 */
Map call(Map params = [:]) {
    return ciDisagg([mode: 'nightly'] + params)
}
