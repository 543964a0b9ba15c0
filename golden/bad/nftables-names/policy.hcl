# A name that is too long for a comment of nft.

host {
  external_interfaces = ["eth0"]
  target              = "nftables"
}

accept "a-name-of-more-than-one-hundred-and-twelve-bytes-which-iptables-takes-but-which-is-too-long-for-a-comment-of-nft-rules" {
  protocol        = "tcp"
  published_ports = [443]
}
