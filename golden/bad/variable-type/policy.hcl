host {
  external_interfaces = ["eth0"]
}

variable "ports" {
  type    = list(number)
  default = ["https"]
}

variable "list" {
  type = lst(string)
}

variable "word" {
  type = strnig
}

variable "elements" {
  type = map(list)
}

variable "arguments" {
  type = number(5)
}

variable "other" {
  type = address
}
