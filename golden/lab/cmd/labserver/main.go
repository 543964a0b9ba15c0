// Command labserver runs in the lab's containers and answers on the ports that its
// arguments list: labserver NAME 80/tcp 53/udp.
//
// In: the name of the container, and ports. Out: an answer to each request, see package talk.
// It knows neither engines nor rules.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/dockerfw/dockerfw/golden/lab/internal/talk"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "labserver:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 {
		return fmt.Errorf("usage: labserver NAME PORT/tcp|PORT/udp ...; the name is missing")
	}
	var ports []talk.Port
	for _, arg := range args[1:] {
		port, err := talk.ParsePort(arg)
		if err != nil {
			return err
		}
		ports = append(ports, port)
	}

	// Process 1 of a container ignores SIGTERM by default, and each stop of the
	// engine would wait ten seconds for it.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	server, err := talk.Serve(args[0], ports)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	<-stop
	server.Close()
	return nil
}
