/* SPDX-License-Identifier: MIT */
#include "support/ways.h"

#include "support/test.h"

int ways(void)
{
	struct ring *ring;

	if (ring_open(&ring, 1, VVM_IO_URING)) {
		printf("io_uring is not permitted here: left out\n");
		return 2;
	}
	ring_close(ring);
	return 3;
}

struct ring *way_open(int way)
{
	struct ring *ring = NULL;

	if (way)
		ck_assert_int_eq(
			ring_open(&ring, 4,
				  way == 1 ? VVM_IO_SYNC : VVM_IO_URING),
			0);
	return ring;
}
