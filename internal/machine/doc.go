// Package machine reads what machines say of themselves: nvidia-smi's texts and tables,
// /proc and /sys, and the records that are made of them.
//
// In: texts, as programs and the kernel print them. Out: the records of package rundir.
// What a text does not say is absent from the record, in whatever way the text says that
// it does not: drivers differ. Nothing here runs a program, and nothing decides.
package machine
