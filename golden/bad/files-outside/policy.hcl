host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = [file("../../golden_test.go")]
  files   = ["../syntax/policy.hcl", "missing.txt", "link.txt", "/etc/hostname"]
}
