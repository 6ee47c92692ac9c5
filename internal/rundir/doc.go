// Package rundir is the run directory: every record that ci-disagg writes, the
// path of each, and the one way in which they are written.
//
// In: plain values from the launch and the report side. Out: JSON files that
// another process, on another host, can read at any moment. Shared files are
// written to a temporary name, fsynced and renamed, so a reader sees the old
// record or the new one and never half of one; nothing takes a lock, because
// the directory usually lives on NFS. Each file has exactly one writer.
//
// The layout:
//
//	RUN/
//	  run.json  lease.json
//	  cases/<slug>/plan.json
//	  cases/<slug>/rep-<q>/attempt-<n>/
//	    job.sh  job.json  outcome.json      written by the client
//	    slurm.out  agent.json               written in the job
//	    environment.json                    written in the job: its machines and builds
//	    run-<k>/                            one run of the job: all roles, started once
//	      record.json                       written in the job when it has ended
//	      roles/<ROLE>/role.sh              written by the client
//	      roles/<ROLE>/{status.json,output.log,results.<procid>.xml}
//	      output/                           the test's own output directory
//	      output/<ROLE>/                    the role's own output folder
//	      output/address/<ROLE>             host:port of a role that has a port
//	      nodes/<NODE>.machine.json         written by the helper on that node, as are
//	      nodes/<NODE>.telemetry.csv        its samples
//	  report/
//
// The package imports only the standard library: both sides of the product
// depend on it, and it depends on neither.
package rundir

// Schema is the version of every record in the run directory. A reader refuses
// records with a higher number instead of guessing at their meaning, and turns older
// ones into today's.
const Schema = 2
