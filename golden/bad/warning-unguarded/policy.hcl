host {
  external_interfaces = ["eth0"]
}

deny "postgres" {
  source          = ["192.0.2.0/24"]
  protocol        = "tcp"
  container_ports = [5432]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443, 5433]
  source          = ["192.0.2.0/23"]
}
