package main

import (
	"bytes"
	"debug/buildinfo"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// components is the SBOM of a program, in the JSON of CycloneDX: the modules that the program contains,
// as the Go command recorded them in it, and the standard library. It has no serial number, which
// would be random.
func (r *release) components(info *buildinfo.BuildInfo, name string) ([]byte, error) {
	root := "pkg:golang/" + info.Main.Path + "@v" + r.version
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: r.time.Format(time.RFC3339),
		Component: &cdx.Component{
			BOMRef: root, Type: cdx.ComponentTypeApplication, Name: name, Version: r.version, PackageURL: root,
			Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
			Properties: &[]cdx.Property{{Name: "vcs.revision", Value: r.commit}},
		},
	}
	goVersion := strings.TrimPrefix(strings.Fields(info.GoVersion)[0], "go")
	list := []cdx.Component{library("std", goVersion, "")}
	refs := []string{list[0].BOMRef}
	for _, dep := range info.Deps {
		m := dep
		if dep.Replace != nil {
			m = dep.Replace
		}
		c := library(m.Path, m.Version, m.Sum)
		list = append(list, c)
		refs = append(refs, c.BOMRef)
	}
	bom.Components = &list
	bom.Dependencies = &[]cdx.Dependency{{Ref: root, Dependencies: &refs}}
	var b bytes.Buffer
	err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return b.Bytes(), err
}

// library is a module. Its sum is that of go.sum.
func library(path, version, sum string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + version
	c := cdx.Component{BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, Scope: cdx.ScopeRequired, PackageURL: purl}
	if sum != "" {
		c.Properties = &[]cdx.Property{{Name: "go.sum", Value: sum}}
	}
	return c
}
