package ir

// The names in the kernel of a host with TargetNFTables. The whole table belongs to dockerfw.
const (
	// NFTFamily and NFTTable are the family and the name of the table.
	NFTFamily = "inet"
	NFTTable  = "dockerfw"
	// NFTForward and NFTInput are the base chains.
	NFTForward = "forward"
	NFTInput   = "input"
	// NFTPriority is the priority of the base chains: before those of Docker, whose priority is 0.
	NFTPriority = -10
)
