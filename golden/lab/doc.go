// Package lab is a laboratory for firewall tests: network namespaces with
// clients that make real connections, and a real Docker engine between them.
//
// Tests hand in rule and set files and ask who gets an answer. The package
// knows iptables, ipset and dockerd, but nothing of dockerfw's own packages.
// It needs root on Linux. No traffic leaves the namespaces it makes, and all it
// makes is gone when the test ends. If the test process itself is killed, the
// kernel ends the engine and its containers; empty namespaces, control groups
// and temporary directories may stay.
//
//	lab := lab.NewLab(t)
//	engine := lab.StartEngine(lab.EngineOptions{Backend: lab.NFT})
//	engine.RunContainer(lab.ContainerOptions{Name: "web", Publish: []string{"8080:80/tcp"}})
//	got := lab.Other.Connect("tcp", lab.Host.At(8080)) // lab.Answered
package lab
