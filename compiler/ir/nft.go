package ir

// The names in the kernel of a host with TargetNFTables. The whole table belongs to dockerfw.
const (
	// NFTFamily and NFTTable are the family and the name of the table.
	NFTFamily = "inet"
	NFTTable  = "dockerfw"
	// NFTForward and NFTInput are the base chains: NFTForward begins with the jump to
	// NFTForwarded, or has the rules of ScopeForward itself; NFTInput has those of ScopeInput.
	NFTForward = "forward"
	NFTInput   = "input"
	// NFTForwarded has the rules of ScopeForward if all of them are for the same interfaces.
	NFTForwarded = "dockerfw-in"
	// NFTEgress, NFTProxy and NFTHost have the rules of ScopeEgress, ScopeProxy and ScopeHost.
	NFTEgress = "dockerfw-egress"
	NFTProxy  = "dockerfw-proxy"
	NFTHost   = "dockerfw-host"
	// NFTPriority is the priority of the base chains: before those of Docker, whose priority is 0.
	NFTPriority = -10
)

// MaxNFTComment is the maximum length of the comment of a rule of nft, in bytes.
const MaxNFTComment = 128

// NFTChainOf returns the name of the chain that a jump to a scope leads to.
func NFTChainOf(s Scope) string {
	return [...]string{ScopeForward: NFTForwarded, ScopeEgress: NFTEgress, ScopeInput: NFTInput, ScopeProxy: NFTProxy, ScopeHost: NFTHost}[s]
}
