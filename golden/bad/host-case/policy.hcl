# Output folders whose names differ only in case are the same on some file systems.
host "web1" {
  external_interfaces = ["eth0"]
}

host "Web1" {
  external_interfaces = ["eth0"]
}
