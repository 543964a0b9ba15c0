// Package store keeps what dockerfw remembers on a host between runs, and reads compiled folders
// that are to be loaded as root.
//
// In: values of the run (names of sets, compiled files, serialized versions). Out: the same values
// in a later run. The package does not interpret them, except for manifests.
//
// There are two directories, which root creates with the mode 0700 and nobody else may write. The
// first is empty after a reboot, as the kernel's tables are:
//
//	DOCKERFW_RUN, default /run/dockerfw
//	  lock          is locked with flock(2) while a run may change anything
//	  made          sets that dockerfw created, one name a line; none: no file
//	  theirs        unmanaged sets of the version in force, one name a line
//	  theirs.next   unmanaged sets of the version that is being loaded
//	  inforce.json  the version in force, for dockerfw status
//	  pending/      the change that waits for confirmation
//	    change.json   what it is (Change)
//	    old, new      the versions, as plan serializes them
//	    folder/       the compiled folder
//	    partial       exists until the change has been loaded completely
//	  snapshot      the version that a rollback failed to restore
//
//	DOCKERFW_STATE, default /var/lib/dockerfw
//	  good          the name of the last good copy
//	  folder-ID/    the last good copy; ID is the beginning of its manifest's SHA-256
//	  backend       nft or legacy: the tables that were right the last time
//	  unconfirmed   the SHA-256 of the manifest that has not been confirmed
//
// Everything is written under a name that ends in ".part" and renamed when it is on disk, so that a
// run that is killed, or a full disk, leaves the old value. The next run that takes the lock
// removes such files.
//
// The lock, made, theirs, theirs.next, good, folder-ID, backend and unconfirmed are those of apply.sh
// of earlier versions: both exclude each other, and dockerfw continues what apply.sh has left. A
// change that apply.sh loaded with --confirm must be confirmed or rolled back by it.
package store
