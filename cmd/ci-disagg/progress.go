package main

import (
	"fmt"
	"io"

	"github.com/ci-disagg/ci-disagg/internal/launch/drive"
)

// printUpdate writes one change as a plain line with its time, as CI logs want.
func printUpdate(w io.Writer, u drive.Update) {
	where := u.Slug
	if where == "" {
		where = "run"
	}
	if u.Attempt > 1 || u.Rep > 0 {
		where = fmt.Sprintf("%s rep %d attempt %d", where, u.Rep, u.Attempt)
	}
	job := ""
	if u.JobID != "" {
		job = " job " + u.JobID
	}
	fmt.Fprintf(w, "%s %s%s: %s\n", u.At.UTC().Format("15:04:05"), where, job, u.Text)
}
