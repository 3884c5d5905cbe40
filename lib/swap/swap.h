/* SPDX-License-Identifier: MIT */
/*
 * swap/swap.h - the swap file: a backing of page-sized slots in a file or on a
 * block device.
 */
#ifndef VVM_SWAP_H
#define VVM_SWAP_H

#include "swap/backing.h"
#include "swap/store.h"
#include "util/conf.h"

/*
 * Opens the swap that conf names, or where the default cannot be used another
 * place, which conf names then (swap/place.c): a directory (unlinked file inside), a
 * regular file (created 0600 when missing; its content is lost, and it is
 * empty again after close) or a block device. A file that is there already must
 * be ours, 0600, no link and have one name; a device ours or root's, and not for
 * everybody: else -EACCES or -ELOOP. Does I/O; not thread-safe.
 *
 * Errors: what open(2) says; -ENOTSUP neither of those, or swap_reserve and
 * the file system cannot; -EBUSY another process or space uses the file (it
 * is locked with flock LOCK_EX), or the device is mounted; -ENOSPC no room
 * for the first page, or for all of them with swap_reserve; -EINVAL a device
 * of less than two pages; -ENOMEM. The reason is logged.
 */
int swap_open(struct backing **out, struct conf *conf);
/*
 * The same, with slots that are numbered from base + 1: a fork child tells its
 * own from its parent's by that (snapshot/inherit.c).
 */
int swap_open_at(struct backing **out, struct conf *conf, uint64_t base);
/*
 * Pages may be kept compressed from now on, in pages of this memory: as many as
 * trim() says. -ENOTSUP: this build cannot; -ENOMEM. => no slot is taken.
 */
int swap_keep(struct backing *b, const struct store_memory *memory);

#endif
