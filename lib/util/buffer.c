/* SPDX-License-Identifier: MIT */
/*
 * util/buffer.c - memory that the disk reads into and writes from: see
 * util/buffer.h.
 *
 * The mapping of a large one is longer by a huge page, so that its start can
 * be aligned; what is beyond the last whole huge page is in small ones. What
 * is not touched costs no memory.
 */
#include "util/buffer.h"

#include <string.h>

#include "os/os.h"

#define HUGE_BYTES ((uint64_t)2 << 20)

int buffer_init(struct buffer *b, uint64_t bytes, bool huge)
{
	haddr_t start;
	int rc;

	huge = huge && bytes >= HUGE_BYTES;
	memset(b, 0, sizeof(*b));
	b->bytes = huge ? bytes + HUGE_BYTES : bytes;
	rc = os_map_anon(b->bytes, &b->mapping);
	if (rc < 0) {
		b->mapping = NULL;
		return rc;
	}
	start = (haddr_t)(uintptr_t)b->mapping;
	if (huge) {
		start = (start + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
		/* refused: small pages will do */
		os_advise(start, bytes & ~(HUGE_BYTES - 1), OS_ADV_HUGEPAGE);
	}
	b->start = (char *)(uintptr_t)start;
	return 0;
}

void buffer_fini(struct buffer *b)
{
	if (b->mapping)
		os_unmap((haddr_t)(uintptr_t)b->mapping, b->bytes);
	memset(b, 0, sizeof(*b));
}
