// Package cost says where the GPU-hours of an attempt went: useful, repeated, failed, taken by the infrastructure, or
// idle, by role.
//
// In: how long the attempt held which GPUs, when they computed and how it ended. Out: hours by cause, each counted
// once; together they are the hours that were allocated.
package cost
