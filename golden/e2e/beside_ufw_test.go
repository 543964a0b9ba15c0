//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// restartTheEngine is what verify says of rules that only the engine can restore.
const restartTheEngine = "Restart the engine"

func (b *bench) replaceInFile(path, old, new string) {
	b.Helper()
	text := b.engine.ReadFile(path)
	if !strings.Contains(text, old) {
		b.Fatalf("%s does not contain %q:\n%s", path, old, text)
	}
	b.engine.WriteFile(path, strings.Replace(text, old, new, 1), 0o640)
}

// ufw starts as on a host where ssh is allowed.
func (b *bench) enableUFW() {
	b.Helper()
	b.run("ufw", "allow", "22/tcp")
	b.run("ufw", "--force", "enable")
}

func TestUFWWithItsDefaultsOpensNothing(t *testing.T) {
	besideFirewalls(t, func(b *bench) {
		b.engine.Start()
		web := b.publishedWeb()
		b.apply(b.bootFolder(besidePolicy))
		other := b.startProbes(b.closedPorts(web))
		allowed := b.startLoad(b.publishedBySeveral(443, 5432))
		b.enableUFW()
		b.run("ufw", "reload")
		b.run("ufw", "disable")
		b.run("ufw", "--force", "enable")
		b.requireNoneAnswered("ufw enabled, reloaded, disabled and enabled", other)
		b.requireAllAnswered("ufw enabled, reloaded, disabled and enabled", allowed)
		b.requireProtected("ufw enabled", web)
		b.waitFor("ufw enabled")
		b.apply("/etc/dockerfw", "--force")
		b.requireProtected("loaded again", web)
	})
}

// With MANAGE_BUILTINS=yes ufw deletes all rules of filter, nat and mangle. Its hook loads
// dockerfw's again; until then only the fallback rules are left. Without Docker's nat rules, clients
// of published ports reach docker-proxy, through INPUT.
func TestUFWThatFlushesAllRulesIsHealedByItsHook(t *testing.T) {
	besideFirewalls(t, func(b *bench) {
		b.engine.Start()
		web := b.publishedWeb()
		b.apply(b.bootFolder(besidePolicy))
		b.replaceInFile("/etc/default/ufw", "MANAGE_BUILTINS=no", "MANAGE_BUILTINS=yes")
		b.engine.WriteFile("/etc/ufw/after.init", fileOfDocs(b.T, "/etc/ufw/after.init"), 0o750)

		containers, proxy := b.startProbes(direct(web)), b.startProbes(b.published(5432))
		b.enableUFW()
		b.requireNoneAnswered("docker-proxy, through ufw enable", proxy)
		b.waitFor("enabled", restartTheEngine)
		b.engine.Stop()
		b.engine.Start()
		b.requireProtected("enabled, and the engine restarted", web)
		proxy = b.startProbes(b.published(5432))
		b.run("ufw", "reload")
		b.requireNoneAnswered("docker-proxy, through ufw reload", proxy)
		b.waitFor("reloaded", restartTheEngine)
		b.requireNoneAnswered("containers' own addresses, through ufw enable and reload", containers)
		if got := b.reached(b.Other, b.closedPorts(web)); got != "nothing" {
			b.Errorf("reloaded: the other client reaches %s", got)
		}

		proxy = b.startProbes(b.published(5432))
		b.run("ufw", "disable")
		b.waitFor("disabled", restartTheEngine)
		b.requireNoneAnswered("docker-proxy, through ufw disable", proxy)
		// Loading does not restore Docker's rules, and says so.
		for _, command := range [][]string{{"apply", "/etc/dockerfw"}, {"status"}} {
			if output, _ := b.dockerfw(command...); !strings.Contains(strings.ToLower(output), strings.ToLower(restartTheEngine)) {
				b.Errorf("disabled: dockerfw %s does not report that Docker's rules are gone:\n%s", command[0], output)
			}
		}
		if got := b.reached(b.Other, b.closedPorts(web)); got != "nothing" {
			b.Errorf("disabled: the other client reaches %s", got)
		}
		b.engine.Stop()
		b.engine.Start()
		b.requireProtected("disabled, and the engine restarted", web)
		b.waitFor("disabled, and the engine restarted")
	})
}

// afterRules is a block like that of ufw-docker: it empties DOCKER-USER and fills it.
const afterRules = `
*filter
:ufw-user-forward - [0:0]
:DOCKER-USER - [0:0]
-A DOCKER-USER -j ufw-user-forward
-A DOCKER-USER -s 10.0.0.0/8 -j RETURN
-A DOCKER-USER -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -d 10.0.0.0/8 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
`

func TestUFWThatEmptiesDOCKERUSEROpensNothing(t *testing.T) {
	besideFirewalls(t, func(b *bench) {
		b.engine.Start()
		web := b.publishedWeb()
		b.apply(b.bootFolder(besidePolicy))
		rules := b.engine.ReadFile("/etc/ufw/after.rules")
		b.engine.WriteFile("/etc/ufw/after.rules", rules+strings.Replace(afterRules, "-d 10.0.0.0/8 -j DROP", "-d 192.168.0.0/16 -j DROP", 1), 0o640)

		other := b.startProbes(b.closedPorts(web))
		b.enableUFW()
		b.run("ufw", "reload")
		if got := b.failedChecks(); !strings.Contains(got, "FORWARD") {
			b.Errorf("DOCKER-USER was emptied, and verify fails with\n%s", got)
		}
		output, err := b.dockerfw("status")
		if err == nil || !strings.Contains(output, "DOCKER-USER") {
			b.Errorf("status does not report that DOCKER-USER was emptied: %v\n%s", err, output)
		}
		b.apply("/etc/dockerfw")
		b.waitFor("loaded again")
		b.engine.WriteFile("/etc/ufw/after.init", fileOfDocs(b.T, "/etc/ufw/after.init"), 0o750)
		b.run("ufw", "reload")
		b.waitFor("reloaded, with the hook")
		b.requireNoneAnswered("DOCKER-USER emptied and filled", other)
		b.requireProtected("DOCKER-USER filled", web)
	})
}
