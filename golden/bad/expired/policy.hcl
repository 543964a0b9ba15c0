# Ends that have passed, and that are none.
host {
  external_interfaces = ["eth0"]
}

accept "trial" {
  protocol        = "tcp"
  published_ports = [9000]
  expires         = "2026-11-22"
}

accept "sometime" {
  protocol        = "tcp"
  published_ports = [9001]
  expires         = "next week"
}

accept "too_late" {
  protocol        = "tcp"
  published_ports = [9002]
  expires         = "2039-01-01"
}

accept "too_early" {
  protocol        = "tcp"
  published_ports = [9003]
  expires         = "1970-01-01"
}

accept "too_exact" {
  protocol        = "tcp"
  published_ports = [9004]
  expires         = "2027-01-31T18:00:00.5+01:00"
}
