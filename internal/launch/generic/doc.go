// Package generic plans any engine's pipelines: roles as data, from the sections pipelines: and cases: of
// ci-disagg.yaml.
//
// In: the two sections, where their keys stand, what of the section workload: holds for every workload, and what must
// be known of the cluster. Out: a rundir.Plan for each case, or every problem with its position. Nothing is read or
// run here: text in, values out.
//
// Templates are filled in one of two ways. What is known when a case is planned ({case.concurrency}) becomes a
// value, quoted for the place where it stands; what only the node knows ({port}, {server.url}) becomes a quoted shell
// variable that role.sh sets before the command.
package generic
