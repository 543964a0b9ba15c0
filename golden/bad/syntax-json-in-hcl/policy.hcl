{
  "host": {"external_interfaces": ["eth0"]}
}
