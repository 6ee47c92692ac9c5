// Package script turns a plan into the files of one Slurm job: job.sh, one
// role.sh per role, install.sh and the attempt's own plan.json; and into the
// srun command line of each step.
//
// In: a rundir.Plan (what is to run), a Profile (what this cluster wants to be
// asked like) and an Attempt (where the files go). Out: file contents; nothing
// is written here. The same input gives the same bytes.
//
// Everything that a user wrote reaches a script in one of two ways: as a value,
// quoted once with mvdan.cc/sh's Quote, or as shell text of the user (a role's
// command, the install and setup text, a draft), which stands alone and whole.
// Values of secrets never reach a script; only the names of variables do.
package script
