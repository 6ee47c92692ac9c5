// Package manual writes manual pages from the verbs themselves: what help prints, for man.
//
// In: the root command. Out: one page for each verb that help shows.
package manual

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Page is one manual page of section 1.
type Page struct {
	Name string // of its file: ci-disagg-run.1
	Text []byte
}

// Pages are those of a command and all below it.
func Pages(root *cobra.Command, version string) []Page {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	var out []Page
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" {
			return
		}
		out = append(out, Page{Name: name(cmd) + ".1", Text: []byte(page(cmd, version))})
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(root)
	return out
}

// name is a command's in man: ci-disagg-baseline-show.
func name(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func page(cmd *cobra.Command, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %q 1 \"\" %q \"ci-disagg\"\n", strings.ToUpper(name(cmd)), "ci-disagg "+version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(name(cmd)), escape(cmd.Short))
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND"
	}
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n.SH DESCRIPTION\n", escape(line))
	paragraphs(&b, cmd.Long, cmd.Short)
	commands(&b, cmd)
	options(&b, "OPTIONS", cmd.NonInheritedFlags())
	options(&b, "OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	if cmd.HasExample() {
		b.WriteString(".SH EXAMPLES\n")
		verbatim(&b, cmd.Example)
	}
	if cmd.HasParent() {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", escape(name(cmd.Parent())))
	}
	return b.String()
}

// paragraphs fills text; lines that are indented stay as they are.
func paragraphs(b *strings.Builder, long, short string) {
	if strings.TrimSpace(long) == "" {
		long = short + "."
	}
	for _, part := range regexp.MustCompile(`\n{2,}`).Split(strings.Trim(long, "\n"), -1) {
		b.WriteString(".PP\n")
		if indented(part) {
			verbatim(b, part)
			continue
		}
		fixed := false
		for line := range strings.SplitSeq(part, "\n") {
			if indented(line) != fixed {
				fixed = !fixed
				b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[fixed])
			}
			fmt.Fprintf(b, "%s\n", escape(line))
		}
		if fixed {
			b.WriteString(".fi\n")
		}
	}
}

func indented(s string) bool { return strings.HasPrefix(s, " ") || strings.HasPrefix(s, "\t") }

func verbatim(b *strings.Builder, text string) {
	b.WriteString(".nf\n")
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		fmt.Fprintf(b, "%s\n", escape(line))
	}
	b.WriteString(".fi\n")
}

func commands(b *strings.Builder, cmd *cobra.Command) {
	if !cmd.HasAvailableSubCommands() {
		return
	}
	b.WriteString(".SH COMMANDS\n")
	for _, c := range cmd.Commands() {
		if !c.Hidden && c.Name() != "help" {
			fmt.Fprintf(b, ".TP\n.BR %s (1)\n%s\n", escape(name(c)), escape(c.Short))
		}
	}
}

func options(b *strings.Builder, head string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", head)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		b.WriteString(".TP\n")
		if f.Shorthand != "" {
			fmt.Fprintf(b, "\\fB\\-%s\\fR, ", f.Shorthand)
		}
		value, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(b, "\\fB\\-\\-%s\\fR", escape(f.Name))
		if value != "" {
			fmt.Fprintf(b, " \\fI%s\\fR", escape(value))
		}
		if !strings.Contains(usage, "default") && f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "[]" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(b, "\n%s\n", escape(usage))
	})
}

// escape keeps roff from taking text for its own words.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\t", "        ", "\u00a0", " ").Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
