// Package trendpages prints what a store says over time as a static site: an overview, a page per case, a page per case
// and metric. Jenkins' policy shows all of it: no script, no inline style.
package trendpages
