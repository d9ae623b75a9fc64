// Package run has the words of a run: what it is, the states it can be in, the
// results and the progress of its steps, what it waits for, the runs that it
// invoked, its failed attempts, and the record that people look at afterwards.
// It is the only codec of the journal and of the records in the history; what
// was written once is readable for ever (testdata/journals of the engine). The
// package must not know where a run is stored, nor how its steps are walked.
package run
