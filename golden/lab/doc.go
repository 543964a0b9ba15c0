// Package lab is a laboratory for firewall tests: network namespaces with
// clients that make real connections, and a real Docker engine between them.
//
// In: rules and sets to load, connections to make, packets to send (Router).
// Out: the result of each connection, the verdict for each packet.
//
// It needs root on Linux. No traffic leaves its namespaces, and everything it
// creates is removed when the test ends. If the test process itself is killed,
// the kernel ends the engine and its containers; empty namespaces, control
// groups and temporary directories may remain.
//
//	lab := lab.NewLab(t)
//	engine := lab.StartEngine(lab.EngineOptions{Backend: lab.NFT})
//	engine.RunContainer(lab.ContainerOptions{Name: "web", Publish: []string{"8080:80/tcp"}})
//	got := lab.Other.Connect("tcp", lab.Host.At(8080)) // lab.Answered
package lab
