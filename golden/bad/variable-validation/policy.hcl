host {
  external_interfaces = ["eth0"]
}

variable "clients" {
  type    = list(string)
  default = []

  validation {
    condition     = length(var.clients) > 0
    error_message = "Somebody has to be able to get in."
  }
}
