host {
  external_interfaces = ["eth0"]
}

ipset "s00" {
  entries = ["192.0.2.0"]
}

ipset "s01" {
  entries = ["192.0.2.1"]
}

ipset "s02" {
  entries = ["192.0.2.2"]
}

ipset "s03" {
  entries = ["192.0.2.3"]
}

ipset "s04" {
  entries = ["192.0.2.4"]
}

ipset "s05" {
  entries = ["192.0.2.5"]
}

ipset "s06" {
  entries = ["192.0.2.6"]
}

ipset "s07" {
  entries = ["192.0.2.7"]
}

ipset "s08" {
  entries = ["192.0.2.8"]
}

ipset "s09" {
  entries = ["192.0.2.9"]
}

ipset "s10" {
  entries = ["192.0.2.10"]
}

ipset "s11" {
  entries = ["192.0.2.11"]
}

ipset "s12" {
  entries = ["192.0.2.12"]
}

ipset "s13" {
  entries = ["192.0.2.13"]
}

ipset "s14" {
  entries = ["192.0.2.14"]
}

ipset "s15" {
  entries = ["192.0.2.15"]
}

ipset "s16" {
  entries = ["192.0.2.16"]
}

ipset "s17" {
  entries = ["192.0.2.17"]
}

ipset "s18" {
  entries = ["192.0.2.18"]
}

ipset "s19" {
  entries = ["192.0.2.19"]
}

ipset "s20" {
  entries = ["192.0.2.20"]
}

ipset "s21" {
  entries = ["192.0.2.21"]
}

ipset "s22" {
  entries = ["192.0.2.22"]
}

ipset "s23" {
  entries = ["192.0.2.23"]
}

ipset "s24" {
  entries = ["192.0.2.24"]
}

ipset "s25" {
  entries = ["192.0.2.25"]
}

ipset "s26" {
  entries = ["192.0.2.26"]
}

ipset "s27" {
  entries = ["192.0.2.27"]
}

ipset "s28" {
  entries = ["192.0.2.28"]
}

ipset "s29" {
  entries = ["192.0.2.29"]
}

ipset "s30" {
  entries = ["192.0.2.30"]
}

ipset "s31" {
  entries = ["192.0.2.31"]
}

ipset "s32" {
  entries = ["192.0.2.32"]
}

ipset "s33" {
  entries = ["192.0.2.33"]
}

ipset "s34" {
  entries = ["192.0.2.34"]
}

ipset "s35" {
  entries = ["192.0.2.35"]
}

ipset "s36" {
  entries = ["192.0.2.36"]
}

ipset "s37" {
  entries = ["192.0.2.37"]
}

ipset "s38" {
  entries = ["192.0.2.38"]
}

ipset "s39" {
  entries = ["192.0.2.39"]
}

default {
  allow = [
    ipset.s00,
    ipset.s01,
    ipset.s02,
    ipset.s03,
    ipset.s04,
    ipset.s05,
    ipset.s06,
    ipset.s07,
    ipset.s08,
    ipset.s09,
    ipset.s10,
    ipset.s11,
    ipset.s12,
    ipset.s13,
    ipset.s14,
    ipset.s15,
    ipset.s16,
    ipset.s17,
    ipset.s18,
    ipset.s19,
    ipset.s20,
    ipset.s21,
    ipset.s22,
    ipset.s23,
    ipset.s24,
    ipset.s25,
    ipset.s26,
    ipset.s27,
    ipset.s28,
    ipset.s29,
    ipset.s30,
    ipset.s31,
    ipset.s32,
    ipset.s33,
    ipset.s34,
    ipset.s35,
    ipset.s36,
    ipset.s37,
    ipset.s38,
    ipset.s39,
  ]
}
