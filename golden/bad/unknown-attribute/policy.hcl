host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol       = "tcp"
  published_port = [443]
}

accept "other_words" {
  from  = ["192.0.2.1"]
  ports = [443]
}
