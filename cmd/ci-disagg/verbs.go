package main

import "github.com/spf13/cobra"

// verbs lists every verb; help sorts them by name.
func verbs(h host) []*cobra.Command {
	return append(newLookCmds(h), []*cobra.Command{
		newRunCmd(h),
		newInitCmd(h),
		newPlanCmd(h),
		newResumeCmd(h),
		newReportCmd(h),
		newCompareCmd(h),
		newBisectCmd(h),
		newConfirmCmd(h),
		newCancelCmd(h),
		newSweepCmd(h),
		newPruneCmd(h),
		newAgentCmd(h),
		newMergeCmd(h),
		newJudgeCmd(h),
		newBaselineCmd(h),
		newSchemaCmd(h),
		newTrendsCmd(h),
		newManCmd(h),
		newVersionCmd(h),
	}...)
}
