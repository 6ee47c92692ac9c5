package plain_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ci-disagg/ci-disagg/internal/plain"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, got, want string }{
		{"one", plain.Count(1, "case"), "1 case"},
		{"several", plain.Count(0, "case"), "0 cases"},
		{"nothing steers the terminal", plain.Line("a\x1b[31mb\nc\u009bd\u202ee\xff"), "a [31mb c d\uFFFDe\uFFFD"},
		{"no end of a job of Azure Pipelines", plain.Inert("a ##vso[task.complete result=Succeeded;]b"), "a # #vso[task.complete result=Succeeded;]b"},
		{"no command of GitHub's", plain.Inert(" ::error file=x::y"), " : :error file=x::y"},
		{"behind a third sign", plain.Inert("###vso[task.complete]"), "# # #vso[task.complete]"},
		{"behind a blank of another kind", plain.Inert("\u00a0\v::error::x"), "\u00a0\v: :error::x"},
		{"behind a carriage return", plain.Inert("50 %\r::error::x"), "50 %\r: :error::x"},
		{"a line as any other", plain.Inert("std::move # 1"), "std::move # 1"},
		{"runs of blanks", plain.Words(" a \n\tb "), "a b"},
		{"the end goes", plain.Cut("äbcdef", 4), "äbc…"},
		{"it fits", plain.Cut("äbcd", 4), "äbcd"},
		{"the middle goes", plain.CutMiddle("disagg_upload-e2e-tiny_ctx1_gen1_dep8", 19), "disa…ctx1_gen1_dep8"},
		{"its middle fits", plain.CutMiddle("äbcd", 4), "äbcd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.got)
		})
	}
}
