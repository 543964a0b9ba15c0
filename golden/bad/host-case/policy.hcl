# Output folders that differ only in case are one on some file systems.
host "web1" {
  external_interfaces = ["eth0"]
}

host "Web1" {
  external_interfaces = ["eth0"]
}
