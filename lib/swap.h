/* SPDX-License-Identifier: MIT */
/*
 * swap.h - the swap file: a backing of page-sized slots in a file or on a
 * block device.
 */
#ifndef VVM_SWAP_H
#define VVM_SWAP_H

#include "backing.h"
#include "conf.h"

/*
 * Opens the swap that conf names: a directory (unlinked file inside), a
 * regular file (created 0600 when missing, its content overwritten) or a
 * block device. Errors: what open(2) says, -ENOTSUP (neither of those),
 * -EBUSY (another process or space uses the file: it is locked with flock
 * LOCK_EX), -ENOSPC (swap_reserve), -ENOMEM. The reason is logged.
 */
int swap_open(struct backing **out, const struct conf *conf);

#endif
