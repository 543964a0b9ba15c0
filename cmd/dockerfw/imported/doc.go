// Package imported writes the policy that hand-made rules amount to.
//
// In: the tables and sets of package handmade, and the external interfaces. Out: a policy, and what
// it treats differently ([Result]): the policy is compiled in memory, and the packet algebra compares
// its rules with the hand-made ones, over all packets.
//
// The conditions of the rules are those that package netfilter makes of their text. A chain is
// flattened (flatten.go), its rules become literals on fields (literals.go), those the blocks of a
// direction (blocks.go), and both families one policy (policy.go, text.go). None of these steps has
// to be right for the answer to be: the comparison finds what they miss (compare.go).
package imported
