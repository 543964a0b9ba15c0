package folder_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/dockerfw/dockerfw/emit/folder"
)

// Compare returns the differences between a folder on disk and the compiled contents; Write
// removes them in one step.
func ExampleContents_Write() {
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "compiled")

	contents := folder.Contents{
		"web1/iptables.restore": []byte("*filter\nCOMMIT\n"),
		"web1/ipset.restore":    []byte("create clients hash:net family inet -exist\n"),
	}
	if _, err := contents.Write(dir); err != nil {
		log.Fatal(err)
	}

	contents["web1/ipset.restore"] = []byte("create office hash:net family inet -exist\n")
	changes, err := contents.Compare(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("before:", changes)

	if _, err := contents.Write(dir); err != nil {
		log.Fatal(err)
	}
	changes, err = contents.Compare(dir)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("after:", changes)
	// Output:
	// before: [{web1/ipset.restore changed}]
	// after: []
}
