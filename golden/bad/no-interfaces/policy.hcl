host {
  external_interfaces = []
}
