// Package compared prints a comparison: on a terminal, as Markdown, as a page, as CSV.
package compared
