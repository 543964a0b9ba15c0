host {
  external_interfaces = ["eth0"]
}

variable "friends" {
  type    = list(string)
  default = []

  validation {
    condition     = length(var.friends) > 0
    error_message = "Somebody has to be able to get in."
  }
}
