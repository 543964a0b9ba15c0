# Comments and strings contain what editors do not show: text in the other direction, control characters, bytes that are not UTF-8.
host {
  external_interfaces = ["eth0"]
}

/* admins only ‮ } ⁦if admin⁩ ⁦ begin */
accept "ssh" {
  protocol        = "tcp" # [8m
  published_ports = [22]
}

variable "office" {
  description = "the‏ office \u200f" # as an escape it is allowed
  type        = string
  default     = "192.0.2.1"
}

# é 中 👍 31m
# B�ro
# overwritten
