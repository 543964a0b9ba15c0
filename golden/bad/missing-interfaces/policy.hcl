host {
  chain = "DOCKER-USER"
}
