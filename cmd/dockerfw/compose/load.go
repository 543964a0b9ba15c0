package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/hashicorp/hcl/v2"
	"github.com/sirupsen/logrus"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/files"
)

// Options are how a project is read.
type Options struct {
	// EnvFiles hold the variables, later ones win; none is the file .env beside the first Compose
	// file, if there is one.
	EnvFiles []string
	// Profiles are the active profiles, "*" for all; none are those of the variable
	// COMPOSE_PROFILES.
	Profiles []string
}

// maxFile limits a Compose file. The library needs up to a hundred times as much memory.
const maxFile = 4 << 20

// Project is what was read.
type Project struct {
	published.List
	// Sources are the bytes of the Compose files by their names, to print diagnostics with.
	Sources map[string][]byte
}

// Load reads the Compose files of one project and merges them in their order, as docker compose
// does.
func Load(paths []string, o Options) (Project, hcl.Diagnostics) {
	p := &project{index: newIndex()}
	out := Project{Sources: p.index.sources}
	dir := filepath.Dir(paths[0])
	variables, diags := readVariables(dir, o.EnvFiles)
	if diags.HasErrors() {
		return out, diags
	}
	details := types.ConfigDetails{WorkingDir: absolute(dir), Environment: variables}
	for _, path := range paths {
		text, more := p.index.add(path, variables)
		diags = append(diags, more...)
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: absolute(path), Content: text})
	}
	if diags.HasErrors() {
		return out, diags
	}
	profiles := o.Profiles
	if len(profiles) == 0 && variables["COMPOSE_PROFILES"] != "" {
		for name := range strings.SplitSeq(variables["COMPOSE_PROFILES"], ",") {
			profiles = append(profiles, strings.TrimSpace(name))
		}
	}
	// The library warns about obsolete attributes on standard error.
	logrus.SetOutput(io.Discard)
	read, err := loader.LoadWithContext(context.Background(), details, func(options *loader.Options) {
		options.SetProjectName(projectName(details.WorkingDir), false)
		options.Profiles = profiles
		options.SkipResolveEnvironment, options.SkipResolveLabels = true, true
		options.Interpolate.Substitute = substitute
		options.ResourceLoaders = []loader.ResourceLoader{noNetwork{}}
	})
	if err != nil {
		return out, append(diags, p.index.problem(err))
	}
	p.read = read
	out.List, diags = p.list()
	return out, diags
}

// project is a project that was read, and where things are written.
type project struct {
	read  *types.Project
	index *index
}

// list returns what the services publish, in the order of their names.
func (p *project) list() (published.List, hcl.Diagnostics) {
	var out published.List
	var diags hcl.Diagnostics
	for _, name := range slices.Sorted(maps.Keys(p.read.Services)) {
		s := p.read.Services[name]
		diags = append(diags, p.service(&out, &s, "")...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.read.DisabledServices)) {
		s := p.read.DisabledServices[name]
		why := "profile " + words.Or(s.Profiles)
		if len(s.Profiles) == 0 {
			why = "another profile"
		}
		diags = append(diags, p.service(&out, &s, why)...)
	}
	return out, diags
}

// mode is the network_mode that decides for a service: its own, or that of the service whose network
// it uses (network_mode: service:NAME). "" is none.
func (p *project) mode(s *types.ServiceConfig) string {
	mode := s.NetworkMode
	for range len(p.read.Services) {
		name, shared := strings.CutPrefix(mode, types.ServicePrefix)
		if !shared {
			break
		}
		mode = p.read.Services[name].NetworkMode
	}
	return mode
}

// others are the ways in which a service is reached without published ports, or may be.
func (p *project) others(s *types.ServiceConfig) []published.Container {
	one := published.Container{By: s.Name, At: p.index.service(s.Name)}
	var out []published.Container
	in := func(network string, external bool, driver string) {
		c := one
		c.Network, c.Driver = network, driver
		switch {
		case external && network == "host":
			out = append(out, one)
		case external && !slices.Contains(engineNetworks, network):
			out = append(out, c)
		case driver == "macvlan" || driver == "ipvlan":
			out = append(out, c)
		}
	}
	mode := p.mode(s)
	if container, shares := strings.CutPrefix(mode, types.ContainerPrefix); shares {
		one.Shares = container
		return append(out, one)
	}
	if mode != "" && !strings.HasPrefix(mode, types.ServicePrefix) {
		in(mode, true, "")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Networks)) {
		if n := p.read.Networks[name]; n.External {
			in(cmp.Or(n.Name, name), true, "")
		} else {
			in(name, false, n.Driver)
		}
	}
	return out
}

// engineNetworks are the networks of every engine that have no address outside, and what network_mode
// calls the default one.
var engineNetworks = []string{"bridge", "default", "none"}

// service adds what a service publishes.
func (p *project) service(out *published.List, s *types.ServiceConfig, inactive string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	if inactive == "" {
		out.Others = append(out.Others, p.others(s)...)
	}
	if p.mode(s) == "host" {
		return nil // the engine ignores the ports
	}
	for _, c := range s.Ports {
		place := p.index.port(s.Name, keyOf(c))
		port, err := portOf(c)
		if err != nil {
			diags = append(diags, notPublishable(place, s.Name, err))
			continue
		}
		port.By, port.At, port.Inactive = s.Name, place, inactive
		out.Ports = append(out.Ports, port)
	}
	return diags
}

// portOf is one element of ports. Short ones have been split into their single ports.
func portOf(c types.ServicePortConfig) (published.Port, error) {
	out := published.Port{Target: uint16(c.Target), First: published.EphemeralFirst, Last: published.EphemeralLast}
	var ok bool
	if out.Protocol, ok = published.ProtocolNumber(c.Protocol); !ok {
		return out, fmt.Errorf("protocol %q is none of tcp, udp and sctp", c.Protocol)
	}
	if c.Target == 0 || c.Target > 65535 {
		return out, fmt.Errorf("the container's port %d is no port from 1 to 65535", c.Target)
	}
	if c.Published != "" && c.Published != "0" {
		if out.First, out.Last, ok = published.ParseRange(c.Published); !ok {
			return out, fmt.Errorf("%q is no port from 1 to 65535, and no range of them", c.Published)
		}
	}
	if c.HostIP != "" {
		address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(c.HostIP, "["), "]"))
		if err != nil || address.Zone() != "" {
			return out, fmt.Errorf("host address %q is no IP address", c.HostIP)
		}
		out.Address = address.Unmap()
	}
	return out, nil
}

// projectName is the name of a project without one of its own: that of its directory.
func projectName(dir string) string {
	if name := loader.NormalizeProjectName(filepath.Base(dir)); name != "" {
		return name
	}
	return "project"
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// readVariables reads files of variables; without any, the file .env of a directory if it exists.
func readVariables(dir string, paths []string) (types.Mapping, hcl.Diagnostics) {
	out := types.Mapping{}
	given := len(paths) > 0
	if !given {
		paths = []string{filepath.Join(dir, ".env")}
	}
	var diags hcl.Diagnostics
	for _, path := range paths {
		text, err := files.Read(files.Disk, path)
		if !given && errors.Is(err, fs.ErrNotExist) {
			return out, nil
		}
		var more map[string]string
		if err == nil {
			more, err = dotenv.ParseWithLookup(strings.NewReader(string(text)), out.Resolve)
		}
		if err != nil {
			diags = append(diags, problem(hcl.Range{Filename: path, Start: lineOf(err), End: lineOf(err)}, "variables that cannot be read", files.Reason(err)+"."))
			continue
		}
		maps.Copy(out, more)
	}
	return out, diags
}

// substitute replaces the variables of a text as docker compose does. A variable that a text
// requires and that is missing is empty, as the others are: secrets are often not there where a
// policy is checked. In ports that is an error; see index.
func substitute(text string, mapping template.Mapping) (string, error) {
	out, err := template.SubstituteWithOptions(text, mapping, template.WithoutLogging)
	var missing *template.MissingRequiredError
	if errors.As(err, &missing) {
		return template.SubstituteWithOptions(text, func(name string) (string, bool) {
			if value, ok := mapping(name); ok && value != "" {
				return value, true
			}
			return "missing", true
		}, template.WithoutLogging)
	}
	return out, err
}

// noNetwork refuses files that only the network has.
type noNetwork struct{}

var remote = regexp.MustCompile(`^(?:[a-z][a-z0-9+.-]+://|oci:|git@|github\.com/|[^/\\]+\.git(?:#|$))`)

func (noNetwork) Accept(path string) bool { return remote.MatchString(path) }

func (noNetwork) Load(_ context.Context, path string) (string, error) {
	return "", fmt.Errorf("%s is in the network, from which nothing is read. Save it beside the other files", path)
}

func (noNetwork) Dir(path string) string { return path }
