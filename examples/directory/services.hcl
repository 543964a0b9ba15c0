variable "base_port" {
  type        = number
  default     = 8000
  description = "the first port of the application's instances"

  validation {
    condition     = var.base_port >= 1024
    error_message = "Instances listen on unprivileged ports."
  }
}

locals {
  instances = 3

  services = {
    app  = { protocol = "tcp", ports = [for i in range(local.instances) : var.base_port + i] }
    dns  = { protocol = ["tcp", "udp"], ports = [53] }
    logs = { protocol = "udp", ports = ["5140-5149"] }
  }
}
