/* SPDX-License-Identifier: MIT */
/*
 * swap/source.h - a file as the backing of a region: what its pages are until
 * they are changed, and, if it is shared, where they go then.
 */
#ifndef VVM_SOURCE_H
#define VVM_SOURCE_H

#include "swap/backing.h"

/*
 * The file behind fd, which the caller may close; page 0 of it is at `offset`, a
 * multiple of the page size. Transfers are counted in `flight`, too. It has no
 * user yet: backing_use().
 *
 * -EBADF: no descriptor; -EACCES: not open for reading; -ENODEV: not a regular
 * file; -EMFILE, -ENFILE: no descriptor is left; -ENOMEM.
 */
int source_open(struct backing **out, int fd, uint64_t offset,
		struct flight *flight);
/*
 * The same of a file that is the home of what is changed. If fd is not open for
 * writing, that is -EACCES with `write`, else the backing is read_only.
 */
int source_open_shared(struct backing **out, int fd, uint64_t offset,
		       struct flight *flight, bool write);
/* The file's name without its directories, cut to fit; "" if it has none. */
void source_name(const struct backing *b, char *name, size_t size);

#endif
