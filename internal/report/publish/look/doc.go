// Package look is what pages and drawings have in common: the style sheet, the colours, SVG that Jenkins' policy shows,
// numbers and times for people.
package look
