// Package outcome describes what apply, confirm, rollback and remove did, for people and for
// programs.
//
// In: the result of package apply, or its failure. Out: text with a line for each fact (what
// changed, what is open because of it, what to do next), or JSON with stable names. It reads the
// boot unit of the host, and changes nothing.
package outcome
